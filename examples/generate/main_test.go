package main

import (
	"io/fs"
	"testing"

	"utskick/examples"
)

// The committed files are what the generator writes, and there are no others.
func TestFilesAreGenerated(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(examples.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		committed, err := fs.ReadFile(examples.Files, name)
		if err != nil {
			return err
		}
		if string(files[name]) != string(committed) {
			t.Errorf("%s is not what the generator writes: run go generate ./examples", name)
		}
		delete(files, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range files {
		t.Errorf("%s is not committed: run go generate ./examples", name)
	}
}
