package rights

import (
	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/tracking"
)

// outcomes say what became of a message.
var outcomes = map[string]Label{
	dispatcher.Pending.String():    {"Väntar på att skickas", "Waits to be sent"},
	dispatcher.Sent.String():       {"Skickat", "Sent"},
	dispatcher.Suppressed.String(): {"Inte skickat: det var spärrat", "Not sent: it was withheld"},
	dispatcher.Failed.String():     {"Inte skickat: det gick inte", "Not sent: it could not be"},
	dispatcher.InDoubt.String():    {"Kanske skickat: vi fick inget säkert besked", "Perhaps sent: we got no certain answer"},
	dispatcher.Skipped.String():    {"Inte skickat: det hoppades över", "Not sent: it was passed over"},
}

// causes say why.
var causes = map[string]Label{
	string(suppression.Erased):       {"du hade raderats och ska inte kontaktas", "you had been erased and are not to be contacted"},
	string(suppression.Objected):     {"du hade sagt nej till det", "you had objected to it"},
	string(suppression.Unsubscribed): {"du hade avregistrerat dig", "you had unsubscribed"},
	string(suppression.Stopped):      {"du hade svarat STOPP", "you had answered STOP"},
	string(suppression.Complained):   {"du hade anmält ett meddelande som skräppost", "you had reported a message as spam"},
	string(suppression.Withdrawn):    {"du hade tagit tillbaka ett samtycke", "you had withdrawn a consent"},
	string(suppression.Restricted):   {"du hade bett om att dina uppgifter skulle få vara i fred", "you had asked for your data to be left alone"},
	string(suppression.Bounced):      {"meddelanden till adressen kom tillbaka", "messages to the address came back"},
	string(suppression.Invalid):      {"adressen kan enligt leverantören inte fungera", "the provider says that the address can never work"},
	string(suppression.Unregistered): {"appen finns inte kvar på enheten", "the app is gone from the device"},
	string(suppression.PushOff):      {"notiser är avstängda på enheten", "notifications are switched off on the device"},
	string(suppression.Paused):       {"du hade bett om en paus", "you had asked for a pause"},
	string(suppression.NoBasis):      {"det fanns ingen rättslig grund", "there was no legal ground"},

	string(dispatcher.CauseExpired):        {"det hann inte skickas i tid", "it was not sent in time"},
	string(dispatcher.CauseRender):         {"innehållet kunde inte fyllas i", "its content could not be filled in"},
	string(dispatcher.CauseRefused):        {"leverantören tog inte emot det till dig", "the provider refused it for you"},
	string(dispatcher.CauseTooLarge):       {"det var för stort", "it was too large"},
	string(dispatcher.CauseDropped):        {"leverantören skickade det inte vidare", "the provider did not send it on"},
	string(dispatcher.CauseWrittenOff):     {"det var ovisst, och vi gav upp", "it was in doubt, and we gave up"},
	string(dispatcher.CauseNoAnswer):       {"leverantören svarade inte", "the provider did not answer"},
	string(dispatcher.CauseServer):         {"leverantörens svar var oklart", "the provider's answer was unclear"},
	string(dispatcher.CauseWorkerLost):     {"vårt program avbröts", "our program was interrupted"},
	string(dispatcher.CauseRestored):       {"databasen hade återställts", "the database had been restored"},
	string(dispatcher.CauseNoAddress):      {"det fanns ingen adress för kanalen", "there was no address for the channel"},
	string(dispatcher.CauseAddressChanged): {"adressen hade ändrats", "the address had changed"},
	string(dispatcher.CauseCancelled):      {"utskicket hade avbrutits", "the mailing had been cancelled"},
}

// happenings say what came of a message afterwards.
var happenings = map[tracking.EventType]Label{
	tracking.Opens:        {"Öppnat", "Opened"},
	tracking.Clicks:       {"Länk följd", "Link followed"},
	tracking.Unsubscribes: {"Avregistrering", "Unsubscribed"},
	tracking.Processed:    {"Mottaget av leverantören", "Taken by the provider"},
	tracking.Deferred:     {"Uppskjutet av mottagarens server", "Put off by the recipient's server"},
	tracking.Delivered:    {"Framme", "Delivered"},
	tracking.Bounced:      {"Kom tillbaka", "Came back"},
	tracking.Dropped:      {"Inte skickat vidare av leverantören", "Not sent on by the provider"},
	tracking.Complained:   {"Anmält som skräppost", "Reported as spam"},
}

// channelNames are what people call channels.
var channelNames = map[audience.Channel]Label{
	audience.Email: {"e-post", "e-mail"},
	audience.SMS:   {"sms", "text message"},
	audience.Push:  {"pushnotis", "push message"},
}

// saying returns the words for a name, or the name itself.
func saying[K ~string](words map[K]Label, name K) Label {
	if l, known := words[name]; known {
		return l
	}
	return Label{string(name), string(name)}
}
