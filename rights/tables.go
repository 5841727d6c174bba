package rights

// people is who they are.
var people = []Table{
	{
		Name: "contacts", Title: Label{"Vem du är", "Who you are"}, Found: ByContact, By: "id", Order: "id",
		Columns: []Column{
			col("id", Number, "Vårt interna nummer", "Our internal number", Deleted),
			col("external_id", Text, "Kundnummer", "Customer number", Deleted),
			col("contact_k", Key, "Nyckel för kundnumret", "Key of the customer number", Deleted),
			col("email", Text, "E-postadress", "E-mail address", Deleted),
			col("email_k", Key, "Nyckel för e-postadressen", "Key of the e-mail address", Deleted),
			col("phone", Text, "Telefonnummer", "Phone number", Deleted),
			col("phone_k", Key, "Nyckel för telefonnumret", "Key of the phone number", Deleted),
			col("first_name", Text, "Förnamn", "First name", Deleted),
			col("last_name", Text, "Efternamn", "Last name", Deleted),
			col("locale", Text, "Språk och land", "Language and country", Deleted),
			col("timezone", Text, "Tidszon", "Time zone", Deleted),
			col("attributes", Object, "Övriga uppgifter från kundregistret", "Other details from the customer register", Deleted),
			col("basis", Text, "Rättslig grund för reklam", "Legal ground for marketing", Deleted),
			col("basis_evidence", Text, "Hur vi vet det", "How we know", Deleted),
			col("sale", Text, "Köpet som rätten att göra reklam vilar på", "The sale that soft opt-in rests on", Deleted),
			col("sale_offered", Text, "När du erbjöds att säga nej", "When you were offered to opt out", Deleted),
			col("sale_family", Text, "Slags varor", "Kind of products", Deleted),
			col("relations", Text, "Kundförhållanden i sammandrag", "Relations in short", Deleted),
			col("grants", Text, "Samtycken i sammandrag", "Consents in short", Deleted),
			col("created_at", Time, "Upplagd", "Added", Deleted),
			col("updated_at", Time, "Senast ändrad", "Last changed", Deleted),
		},
	},
	{
		Name: "devices", Title: Label{"Enheter för pushnotiser", "Devices for push messages"}, Found: ByContact, By: "contact", Order: "id",
		Columns: []Column{
			col("id", Number, "Enhetens nummer", "Number of the device", Deleted),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Deleted),
			col("token", Text, "Appens adress på enheten", "Address of the app on the device", Deleted),
			col("k", Key, "Nyckel för den", "Key of it", Deleted),
			col("active", Flag, "Används", "In use", Deleted),
			col("created_at", Time, "Upplagd", "Added", Deleted),
			col("updated_at", Time, "Senast ändrad", "Last changed", Deleted),
		},
	},
	{
		Name: "relations", Title: Label{"Dina kundförhållanden", "Your relations to us"}, Found: ByKey, By: "contact_k", Order: "sender",
		Columns: []Column{
			col("contact_k", Key, "Nyckel för kundnumret", "Key of the customer number", Deleted),
			col("sender", Text, "Med", "With", Deleted),
			col("since", Text, "Sedan", "Since", Deleted),
			col("ended_at", Time, "Upphörde", "Ended", Deleted),
			col("source", Text, "Varifrån vi vet det", "Where we know it from", Deleted),
			col("told_at", Time, "När vi fick veta det", "When we were told", Deleted),
		},
	},
	{
		Name: "address_keys", Title: Label{"Adresser du har eller har haft", "Addresses that you have or had"}, Found: ByContact, By: "contact", Order: "first_seen",
		Columns: []Column{
			col("k", Key, "Nyckel (adressen själv sparas inte här)", "Key (the address itself is not kept here)", Deleted),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Deleted),
			col("kind", Text, "Slag", "Kind", Deleted),
			col("first_seen", Time, "Känd sedan", "Known since", Deleted),
		},
	},
	{
		Name: "erasures", Title: Label{"Begäran om radering", "Requests for erasure"}, Found: ByContact, By: "contact", Order: "id",
		Columns: []Column{
			col("id", Number, "Nummer", "Number", Kept).because("that somebody was erased, and when, without who"),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Loosened).because("NULL"),
			col("asked_at", Time, "Mottagen", "Received", Kept).because("accountability, GDPR 5(2)"),
			col("case_number", Text, "Ärende", "Case", Kept).because("accountability, GDPR 5(2)"),
			col("declined", Flag, "Ingen spärr ska sparas", "No suppression is to be kept", Kept).because("accountability, GDPR 5(2)"),
		},
		Others: []string{"asked_by", "done_at", "messages"}, Why: "who of the staff took it, and what came of it once it leads to nobody",
	},
}

// wishes is what they allow.
var wishes = []Table{
	{
		Name: "consents", Title: Label{"Samtycken", "Consents"}, Found: ByKey, By: "contact_k", Order: "at",
		Columns: []Column{
			col("contact_k", Key, "Nyckel för kundnumret", "Key of the customer number", Deleted),
			col("purpose", Text, "Ändamål", "Purpose", Deleted),
			col("sender", Text, "Avsändare (* är alla)", "Sender (* is any)", Deleted),
			col("granted", Flag, "Samtycke finns", "Consent is given", Deleted),
			col("at", Time, "Sedan", "Since", Deleted),
			col("source", Text, "Varifrån vi vet det", "Where we know it from", Deleted),
			col("evidence", Text, "Hur vi vet det", "How we know", Deleted),
			col("notice", Text, "Integritetsinformationens version", "Version of the privacy notice", Deleted),
		},
	},
	{
		Name: "withdrawn_consents", Title: Label{"Samtycken före en återkallelse", "Consents before they were withdrawn"}, Found: ByKey, By: "contact_k", Order: "ver",
		Columns: []Column{
			col("ver", Number, "Återkallat med ändring", "Withdrawn by change", Deleted),
			col("contact_k", Key, "Nyckel för kundnumret", "Key of the customer number", Deleted),
			col("purpose", Text, "Ändamål", "Purpose", Deleted),
			col("sender", Text, "Avsändare (* är alla)", "Sender (* is any)", Deleted),
			col("granted", Flag, "Samtycke fanns", "Consent was given", Deleted),
			col("at", Time, "Sedan", "Since", Deleted),
			col("source", Text, "Varifrån vi visste det", "Where we knew it from", Deleted),
			col("evidence", Text, "Hur vi visste det", "How we knew", Deleted),
			col("notice", Text, "Integritetsinformationens version", "Version of the privacy notice", Deleted),
		},
	},
	{
		Name: "suppressions", Title: Label{"Vad du inte vill ha", "What you do not want"}, Found: ByKey, By: "k", Order: "ver",
		Columns: []Column{
			col("k", Key, "Nyckel för adressen eller kundnumret", "Key of the address or the customer number", Kept).because(wishKept),
			col("channel", Text, "Kanal (* är alla)", "Channel (* is any)", Kept).because(wishKept),
			col("topic", Text, "Slags utskick (* är alla)", "Kind of message (* is any)", Kept).because(wishKept),
			col("purpose", Text, "Ändamål (* är alla)", "Purpose (* is any)", Kept).because(wishKept),
			col("sender", Text, "Avsändare (* är alla)", "Sender (* is any)", Kept).because(wishKept),
			col("cause", Text, "Orsak", "Cause", Kept).because(wishKept),
			col("active", Flag, "Gäller", "In force", Kept).because(wishKept),
			col("source", Text, "Varifrån vi vet det", "Where we know it from", Kept).because("one of a few words"),
			col("evidence", Text, "Hur vi vet det", "How we know", Blanked),
			col("notice", Text, "Integritetsinformationens version", "Version of the privacy notice", Kept).because(wishKept),
			col("expires_at", Time, "Till och med", "Until", Kept).because(wishKept),
			col("created_at", Time, "Sedan", "Since", Kept).because(wishKept),
			col("updated_at", Time, "Senast ändrad", "Last changed", Kept).because(wishKept),
			col("ver", Number, "Ändring nummer", "Number of the change", Kept).because(wishKept),
		},
	},
	{
		Name: "suppression_changes", Title: Label{"Hur det har ändrats", "How that has changed"}, Found: ByKey, By: "k", Order: "ver",
		Columns: []Column{
			col("ver", Number, "Ändring nummer", "Number of the change", Deleted),
			col("at", Time, "När", "When", Deleted),
			col("k", Key, "Nyckel för adressen eller kundnumret", "Key of the address or the customer number", Deleted).because("but those of the erasure itself, as long as its suppression is kept"),
			col("channel", Text, "Kanal (* är alla)", "Channel (* is any)", Deleted),
			col("topic", Text, "Slags utskick (* är alla)", "Kind of message (* is any)", Deleted),
			col("purpose", Text, "Ändamål (* är alla)", "Purpose (* is any)", Deleted),
			col("sender", Text, "Avsändare (* är alla)", "Sender (* is any)", Deleted),
			col("cause", Text, "Orsak", "Cause", Deleted),
			col("active", Flag, "Gällde sedan", "In force after it", Deleted),
			col("source", Text, "Varifrån vi vet det", "Where we know it from", Deleted),
			col("evidence", Text, "Hur vi vet det", "How we know", Deleted),
			col("notice", Text, "Integritetsinformationens version", "Version of the privacy notice", Deleted),
			col("expires_at", Time, "Till och med", "Until", Deleted),
			col("visit", Text, "Besök på sidan", "Visit to the page", Deleted),
			col("undone", Flag, "Ångrad", "Undone", Deleted),
		},
	},
}

const wishKept = "it is what keeps an import of the same person from being sent to (GDPR 21(3)); with declined that of the erasure itself is deleted"

// messages is what was sent to them and what came of it.
var messages = []Table{
	{
		Name: "members", Title: Label{"Meddelanden till dig", "Messages to you"}, Found: ByPlace, By: "contact", Order: "grp",
		Columns: []Column{
			col("grp", Number, "Meddelandegrupp", "Group of messages", Loosened).because("a group of its own for the erased of each run"),
			col("k", Key, "Nyckel för adressen", "Key of the address", Loosened).because("a random key"),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Loosened).because("0"),
			col("code", Number, "Utfall (0 väntar, 1 eller tomt skickat, 2 spärrat, 3 misslyckat, 4 ovisst, 5 överhoppat)",
				"Outcome (0 pending, 1 or empty sent, 2 suppressed, 3 failed, 4 in doubt, 5 skipped)", Kept).because("a run's sums have to meet; it is nobody's by then"),
			col("cause", Text, "Orsak", "Cause", Kept).because("as the outcome"),
			col("provider_id", Text, "Leverantörens nummer för meddelandet", "Provider's id of the message", Blanked),
		},
	},
	{
		Name: "calls", Title: Label{"Överlämnanden till leverantören", "Hand-overs to the provider"}, Found: ByBound, By: "batch", Order: "t0",
		Columns: []Column{
			col("k_from", Key, "Din nyckel som gräns: från", "Your key as a bound: from", Loosened).because("the key of another recipient, or none"),
			col("k_to", Key, "Din nyckel som gräns: till", "Your key as a bound: to", Loosened).because("the key of another recipient, or a random one"),
			col("message_ids", Lines, "Leverantörens nummer för ditt meddelande", "Provider's id of your message", Blanked),
		},
		Others: []string{"batch", "fence", "t0", "claim_ver", "template", "suppression_ver", "provider_id", "late_starts", "notice"},
		Why:    "about a call with many recipients; what they say of each recipient is shown with her messages",
	},
	{
		Name: "batches", Title: Label{"Gränser mellan delar av utskick", "Bounds between parts of mailings"}, Found: ByBound, By: "id", Order: "id",
		Columns: []Column{
			col("k_lo", Key, "Din nyckel som gräns: första", "Your key as a bound: first", Loosened).because("the key of another recipient, or a random one"),
			col("k_hi", Key, "Din nyckel som gräns: sista", "Your key as a bound: last", Loosened).because("the key of another recipient, or a random one"),
			col("last_k", Key, "Din nyckel som gräns: avslutat till", "Your key as a bound: settled up to", Loosened).because("as the last"),
			col("claim_k", Key, "Din nyckel som gräns: påbörjat till", "Your key as a bound: claimed up to", Loosened).because("as the last"),
		},
		Others: []string{"id", "grp", "run", "channel", "n", "settled", "state", "fence", "nonce", "owner", "beat_at", "not_before", "rung_at",
			"attempts", "sent", "suppressed", "failed", "in_doubt", "skipped", "moved", "origin", "depth", "refusal", "domain", "doubt_at", "resolved", "look_at", "looks"},
		Why: "about a part of a mailing with up to 1000 recipients",
	},
	{
		Name: "events", Title: Label{"Vad som hände med meddelandena", "What happened to the messages"}, Found: ByKeyOrContact, By: "k", Order: "at",
		Columns: []Column{
			col("day", Number, "Dag (sedan 1970)", "Day (since 1970)", Kept).because(eventKept),
			col("dedupe", Text, "Kännetecken för händelsen", "Mark of the event", Kept).because("the same event, told again, must not count twice"),
			col("at", Time, "När", "When", Kept).because(eventKept),
			col("type", Text, "Vad", "What", Kept).because(eventKept),
			col("run", Number, "Utskick", "Run of a campaign", Kept).because(eventKept),
			col("grp", Number, "Meddelandegrupp", "Group of messages", Loosened).because("that of the erased"),
			col("channel", Text, "Kanal", "Channel", Kept).because(eventKept),
			col("k", Key, "Nyckel för adressen", "Key of the address", Loosened).because("the same random key as the message has"),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Loosened).because("NULL"),
			col("link", Number, "Länk", "Link", Kept).because(eventKept),
			col("counts", Text, "Räknas mot spärr för", "Counts towards suppression for", Blanked),
			col("machine", Text, "Tecken på att en maskin gjorde det", "Why it is taken for a machine's", Kept).because(eventKept),
			col("agent", Text, "Slags enhet", "Kind of device", Kept).because(eventKept),
			col("forgotten", Number, "Sparat länge nog, och utan spår till dig (1)", "Kept for long enough, and without a trace of you (1)", Kept).because(eventKept),
			col("requester", Number, "Tillfälligt märke för den som begärde", "Short-lived mark of who asked", Blanked),
		},
	},
	{
		Name: "inbound", Title: Label{"Vad du har svarat", "What you answered"}, Found: ByKeyOrContact, By: "k", Order: "at",
		Columns: []Column{
			col("id", Number, "Nummer", "Number", Kept).because(answerKept),
			col("message", Text, "Leverantörens nummer för svaret", "Provider's id of the answer", Kept).because("the same answer, told again, must not be taken for a new one"),
			col("at", Time, "När", "When", Kept).because(answerKept),
			col("channel", Text, "Kanal", "Channel", Kept).because(answerKept),
			col("k", Key, "Nyckel för adressen", "Key of the address", Loosened).because("a random key"),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Loosened).because("NULL"),
			col("sender", Text, "Till avsändaren", "To the sender", Kept).because(answerKept),
			col("meaning", Text, "Uppfattat som", "Understood as", Kept).because(answerKept),
			col("address", Text, "Från adressen", "From the address", Blanked),
			col("words", Text, "Vad du skrev", "What you wrote", Blanked),
			col("done", Number, "Färdigbehandlat (1)", "Dealt with (1)", Kept).because(answerKept),
			col("handled_at", Time, "Färdigbehandlat den", "Dealt with at", Kept).because(answerKept),
		},
		Others: []string{"handled_by"}, Why: "names somebody of the staff",
	},
	{
		Name: "cases", Title: Label{"Dina ärenden", "Your cases"}, Found: ByKeyOrContact, By: "k", Order: "id",
		Columns: []Column{
			col("id", Number, "Ärende", "Case", Kept).because(caseKept),
			col("kind", Text, "Slag", "Kind", Kept).because(caseKept),
			col("way", Text, "Hur du hörde av dig", "How you reached us", Kept).because(caseKept),
			col("received_at", Time, "Mottaget", "Received", Kept).because(caseKept),
			col("due_on", Time, "Ska besvaras senast", "To be answered by", Kept).because(caseKept),
			col("state", Text, "Läge", "State", Kept).because(caseKept),
			col("route", Text, "Hos", "With", Kept).because(caseKept),
			col("opened_at", Time, "Upplagt", "Opened", Kept).because(caseKept),
			col("contact", Number, "Vårt interna nummer för dig", "Our internal number for you", Loosened).because("NULL"),
			col("k", Key, "Nyckel för adressen eller kundnumret", "Key of the address or the customer number", Loosened).because("NULL"),
			col("external", Text, "Nummer i annat register", "Number in another register", Blanked),
			col("identity_method", Text, "Hur din identitet kontrollerades", "How your identity was checked", Kept).because(caseKept),
			col("identity_at", Time, "När den kontrollerades", "When it was checked", Kept).because(caseKept),
			col("extended_reason", Text, "Varför det tar längre tid", "Why it takes longer", Blanked),
			col("extended_told", Time, "När du fick veta det", "When you were told so", Kept).because(caseKept),
			col("outcome", Text, "Svar", "Answer", Blanked),
			col("ended_at", Time, "Avslutat", "Ended", Kept).because(caseKept),
		},
		Others: []string{"opened_by", "identity_by", "ended_by"}, Why: "names somebody of the staff",
	},
	{
		Name: "case_notes", Title: Label{"Anteckningar om dina ärenden", "Notes about your cases"}, Found: ByCase, By: "case_id", Order: "id",
		Columns: []Column{
			col("id", Number, "Anteckning", "Note", Deleted),
			col("case_id", Number, "Ärende", "Case", Deleted),
			col("at", Time, "När", "When", Deleted),
			col("words", Text, "Vad som antecknades", "What was noted", Deleted),
		},
		Others: []string{"author"}, Why: "names somebody of the staff",
	},
	{
		Name: "audit", Title: Label{"Vad medarbetare har gjort", "What staff did"}, Found: ByName, By: "object", Order: "id",
		Columns: []Column{
			col("at", Time, "När", "When", Kept).because("who did what has to stay on record; it is about nobody by then"),
			col("action", Text, "Vad", "What", Kept).because("as the time"),
			col("object", Text, "Ditt nummer hos oss, eller början av din nyckel", "Your number with us, or the beginning of your key", Blanked),
			col("detail", Text, "Närmare", "Details", Kept).because("one of a few words; no address is ever in it"),
		},
		Others: []string{"id", "actor"}, Why: "names somebody of the staff",
	},
}

const (
	eventKept  = "the counts of a campaign stay as they were; it is nobody's by then"
	caseKept   = "that a request was received and answered in time (GDPR 5(2)); it is nobody's by then"
	answerKept = "that there was an answer; it is nobody's by then"
)

// others hold nothing about a person.
var others = []Table{
	{Name: "meta", Others: []string{"name", "value"}, Why: "settings of the database"},
	{Name: "attributes", Others: []string{"name", "created_at"}, Why: "names of details, not their values"},
	{Name: "senders", Others: []string{"name", "record", "notice", "updated_at"}, Why: "about the retailer's companies"},
	{Name: "notices", Others: []string{"sender", "version", "language", "dated", "url", "hash", "created_at"}, Why: "the same for everybody"},
	{Name: "templates", Others: []string{"id", "name", "channel", "version", "default_language", "contents", "created_at"}, Why: "the same words for everybody"},
	{Name: "links", Others: []string{"id", "template", "target"}, Why: "the same for everybody"},
	{Name: "campaigns", Others: []string{"id", "name", "sender", "topic", "channels", "family", "created_at"}, Why: "about mailings"},
	{Name: "runs", Others: []string{"id", "campaign", "state", "reason", "rev", "due_at", "send_by", "channels", "planned", "created_at", "started_at", "finished_at", "forgotten"}, Why: "about mailings"},
	{Name: "slices", Others: []string{"run", "channel", "slice", "k_lo", "k_hi", "closing", "planned_at", "rung_at", "audience", "duplicates"}, Why: "counts; the bounds divide all possible keys evenly"},
	{Name: "groups", Others: []string{"id", "run", "channel", "slice", "sender", "template", "language", "variant", "due_at", "parent", "resend"}, Why: "about many recipients each"},
	{Name: "channel_holds", Others: []string{"channel", "reason", "at"}, Why: "about providers"},
	{Name: "suppression_head", Others: []string{"id", "ver", "generation"}, Why: "a counter"},
	{Name: "guard", Others: []string{"id", "counter", "releases", "held_at", "held_why", "passed"}, Why: "about the database itself"},
	{Name: "instances", Others: []string{"name", "about", "session", "joined_at", "renewed_at", "lapsed_at", "left_at"}, Why: "about processes"},
	{Name: "retention_runs", Others: []string{"rule", "ran_at", "touched", "total"}, Why: "counts"},
	{Name: "retention_turn", Others: []string{"id", "due_at"}, Why: "a clock"},
	{Name: "breach_counts", Others: []string{"promise", "name", "found", "at", "auditor"}, Why: "counts"},
	{Name: "optout_latency", Others: []string{"day", "bucket", "n"}, Why: "counts"},
	{Name: "mail_taken", Others: []string{"message", "at"}, Why: "a keyed hash of the name that a mail server gave a message; it leads to nobody"},
	{Name: "api_keys", Others: []string{"id", "name", "scope", "hash", "created_at", "revoked_at"}, Why: "about programs and staff"},
	{Name: "goose_db_version", Others: []string{"id", "version_id", "is_applied", "tstamp"}, Why: "of the tool that changes tables"},
}
