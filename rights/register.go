package rights

import "slices"

// Register lists every table of the database with every column, each as holding
// data about a person or not. It is what the access export shows and what an
// erasure must leave nothing of; a test compares it with the real tables.
func Register() []Table { return slices.Concat(people, wishes, messages, others) }

// Table is a table of the database.
type Table struct {
	Name  string
	Title Label // of the part of an export; empty where no column is about a person
	// Found says how a person's rows are found, and By which of the columns that
	// takes; Order is by which column an export shows them.
	Found Found
	By    string
	Order string
	// Columns are those that hold data about a person, Others those that do not,
	// and Why says why they do not.
	Columns []Column
	Others  []string
	Why     string
}

// Column holds data about a person.
type Column struct {
	Name    string
	As      Kind
	Label   Label
	Erasure Fate
	Why     string // what is kept in spite of an erasure, or what it is replaced by
}

// Label is what a person reads.
type Label struct {
	Swedish string `json:"sv"`
	English string `json:"en"`
}

// In returns the label in a language: Swedish for sv, and else English.
func (l Label) In(language string) string {
	if language == Swedish {
		return l.Swedish
	}
	return l.English
}

// The languages of an export.
const (
	Swedish = "sv"
	English = "en"
)

// Found says how a person's rows are found. Her keys are those of every address
// that she has or had, and of her external id.
type Found string

// The ways in which rows are found.
const (
	ByContact Found = "contact" // a column has the contact's number
	ByKey     Found = "key"     // a column has one of her keys
	// ByPlace finds the rows of messages: group and key, with her as the contact, or
	// with nobody and a key that nobody else has or had.
	ByPlace Found = "place"
	// ByKeyOrContact finds what came in: with her as the contact, or with nobody and
	// a key that nobody else has or had.
	ByKeyOrContact Found = "key or contact"
	// ByBound finds ranges of recipients that end at one of her keys. Of the columns
	// only those are hers that hold the key.
	ByBound Found = "bound"
	// ByName finds what the audit log says of her: it names a contact by its number,
	// or the beginning of one of her keys.
	ByName Found = "name"
	// ByCase finds what belongs to a case of hers.
	ByCase Found = "case"
)

// Kind says what a column holds.
type Kind string

// The kinds of columns.
const (
	Text   Kind = "text"
	Number Kind = "number"
	Flag   Kind = "flag"
	Time   Kind = "time"   // milliseconds since 1970; 0 is none
	Key    Kind = "key"    // 16 bytes, shown in hexadecimal
	Object Kind = "object" // a JSON document
	// Lines has a line "key rest" for each of many people. Of it one line is hers.
	Lines Kind = "lines"
)

// Fate is what an erasure does with a value.
type Fate string

// The fates.
const (
	Deleted  Fate = "deleted"  // with its row
	Blanked  Fate = "blanked"  // the row stays, the value goes
	Loosened Fate = "loosened" // the row stays, and leads to nobody any more
	Kept     Fate = "kept"     // see Why
)

func col(name string, as Kind, swedish, english string, f Fate) Column {
	return Column{Name: name, As: as, Label: Label{swedish, english}, Erasure: f}
}

func (c Column) because(why string) Column {
	c.Why = why
	return c
}
