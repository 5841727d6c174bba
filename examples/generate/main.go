// Command generate writes the files of package examples into the current
// folder. It draws from a fixed seed, so that it always writes the same.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"utskick/examples"
)

func main() {
	files, err := generate()
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
	for name, data := range files {
		if err := write(name, data); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

func write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644) //nolint:gosec // the files are published
}

// generate returns the files by name.
func generate() (map[string][]byte, error) {
	random := rand.New(rand.NewPCG(1111, 2222))
	customers := makeCustomers(random)
	contacts, err := contactsCSV(customers)
	if err != nil {
		return nil, err
	}
	suppressions, err := suppressionsCSV(random, customers)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{examples.Contacts: contacts, examples.Suppressions: suppressions}
	if files[examples.Sender], err = encode(sender); err != nil {
		return nil, err
	}
	for name, s := range group {
		if files[name], err = encode(s); err != nil {
			return nil, err
		}
	}
	for name, t := range mailing {
		if files[name], err = encode(t); err != nil {
			return nil, err
		}
	}
	return files, nil
}
