package channels

// For the tests of what net/http does only when it is late.
var InParcel = inParcel

func (a *Attempt) Stop() { a.stop() }
