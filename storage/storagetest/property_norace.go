//go:build !race

package storagetest

// examples is how many there are unless somebody says otherwise.
const examples = "60"
