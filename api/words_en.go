package api

import (
	"utskick/audience"
	"utskick/suppression"
)

var english = words{
	Language: "en", Itself: "English", Switch: "Language",
	Months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	Date:   "%d %s %d",

	About: "This page is about %s.", AboutKind: "This page is about %s of the kind “%s”.", From: "From", To: "To",
	Kinds: "Each kind of message is left by itself: if you stop this kind, other kinds from us go on until you stop them, too.",
	Messages: map[audience.Channel]string{audience.Email: "an e-mail", audience.SMS: "an SMS", audience.Push: "a push notification",
		anyChannel: "a message", ownChannel: "a message"},
	By: map[audience.Channel]string{audience.Email: "by e-mail", audience.SMS: "by SMS", audience.Push: "by push notification", audience.Post: "by post", audience.Phone: "by phone"},

	Scopes: map[audience.Channel]scopeWords{
		audience.Email: {"Unsubscribe from marketing by e-mail",
			"If you press the button, we stop sending you marketing by e-mail: all of it, not this mailing alone, and to every e-mail address that we know of you.",
			"We no longer send you marketing by e-mail."},
		audience.SMS: {"Unsubscribe from marketing by SMS",
			"If you press the button, we stop sending you marketing by SMS: all of it, not this message alone.",
			"We no longer send you marketing by SMS."},
		audience.Push: {"Unsubscribe from marketing by push notification",
			"If you press the button, we stop sending you marketing by push notification: all of it, not this message alone, and on every device that we know of you.",
			"We no longer send you marketing by push notification."},
		anyChannel: {"Unsubscribe from our marketing",
			"If you press the button, we stop sending you marketing: all of it, by e-mail, SMS, push notification, post and phone.",
			"We no longer send you any marketing."},
		ownChannel: {"Unsubscribe from our marketing",
			"If you press the button, we stop sending you marketing in the way that this message came to you: all of it, not this message alone.",
			"We no longer send you marketing in the way that this message came to you."},
	},
	NotYet: "Nothing has changed yet.", Button: "Unsubscribe",
	Other: "Choose something else: this kind only, a break, other ways, how your data is used",
	Done:  "You are unsubscribed", Late: "A message that was handed over before may still arrive.",

	Title: "Your choices about our marketing", Saved: "Your choices are saved", Undone: "It is as it was before", TooLate: "It is too late to undo this here",
	SavedP: "They are in force now.", UndoneP: "What you did on these pages just now is undone. What you or others told us before still holds.",
	TooLateP:      "Undo works for an hour. Nothing has changed. Customer service can change it for you.",
	NothingChosen: "You have chosen nothing here. What holds now stands below.",
	KeptP:         "We have noted it safely, and it is in force. What you chose before holds as well. We cannot show or undo anything just now; come back in a while.",
	Undo:          "Undo", UndoHint: "Makes everything as it was before you came to these pages just now.",
	Less: "Would you rather stop less?", LessHint: "Press one, and it takes the place of what you just did.",
	Now: "What holds now", NothingNow: "You have not stopped anything.", UnknownNow: "We cannot show just now what you have chosen before. It holds all the same.",
	Back:   "If you want to get something back that you stopped earlier, tell customer service.",
	Choose: "Choose", ChooseHint: "Choose as much as you like. You need to give no reason.",
	Stop: "Stop messages", StopHint: "Push notifications can also be switched off in the settings of your phone.",
	Pause: "Or take a break", PauseHint: "A break is from all marketing, and ends by itself.", NoPause: "No break",
	Data: "How your data is used", DataHint: "These stop no messages.", All: "All of it",
	Already: "holds already", Save: "Save my choices",
	Choices: map[suppression.Choice]string{
		suppression.StopKind: "No more of this kind: %s", suppression.StopEmail: "No marketing by e-mail", suppression.StopSMS: "No marketing by SMS",
		suppression.StopPush: "No marketing by push notification", suppression.StopPost: "No marketing by post", suppression.StopPhone: "No marketing by phone",
		suppression.StopSender:    "No marketing from %s, whichever way",
		suppression.StopMarketing: "No marketing at all, whichever way", suppression.Pause30: "A break of 30 days", suppression.Pause90: "A break of 90 days",
		suppression.NoProfiling: "Do not choose offers for me by what you know of me (no profiling)", suppression.NoAdSharing: "Do not share my data with advertising platforms",
		suppression.NoOpenTracking: "Do not record when I open or click",
		suppression.StopEverything: "Everything: no marketing at all, no profiling, no sharing, no recording of opens",
	},
	Instead: map[suppression.Choice]string{suppression.StopSender: "Only stop marketing from %s", suppression.StopKind: "Stop only: %s", suppression.Pause30: "Only a break of 30 days", suppression.Pause90: "Only a break of 90 days"},
	Holds: holdWords{All: "No marketing at all, whichever way.", Everything: "No marketing at all, and no use of your data for it.", Channel: "No marketing %s.",
		Kind: "No messages of the kind “%s”.", KindChannel: "No messages of the kind “%s” %s.", Pause: "A break from all marketing until %s.",
		PauseOf: "A break from marketing %s until %s.", Until: ", until %s.", Undelivered: "Nothing is sent to an address of yours from which messages came back.",
		Data: map[suppression.Purpose]string{suppression.Profiling: "No profiling.", suppression.OpenTracking: "No recording of what you open or click.",
			suppression.AdTracking: "No tracking for advertising.", suppression.AdListSharing: "No sharing of your data with advertising platforms."}},

	Confirm: confirmEnglish,

	Contact: "Who we are", Answer: "Write to", Service: "Customer service", ServiceP: "Customer service helps you with your wishes in every matter.",
	Phone: "Phone:", Post: "Post:", Page: "Customer service on the web", Officer: "Data protection officer:", Notice: "Our privacy notice",
	Elsewhere: "Our advertising elsewhere", Cookies: "Cookie settings of our site: give or withdraw consent to marketing cookies",
	Platforms: "Advertising platforms have settings of their own. If you switch personalised advertising off there, you still see our advertising, but it is not chosen for you; " +
		"the data is not deleted, and no consent that you gave us is withdrawn. For that, choose above, or change the cookie settings.",
	Info: "%s: about its advertising", Settings: "%s: settings",

	Missing: "This link does not work", MissingP: "It is incomplete, or it is not one of ours. If you copied it, copy all of it; it is one long line.",
	Trouble: "This did not work", TroubleP: "We could not record it just now. Please try again in a moment.", Try: "Try again",
	Otherwise: "If it goes on not working, tell us in any way you like, for example by answering the message. You need to give no reason.",
}
