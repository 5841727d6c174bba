//go:build race

package storagetest

// examples are fewer where each takes ten times as long. All in them happens one
// after the other, so that there are no races to find.
const examples = "6"
