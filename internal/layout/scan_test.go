package layout

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// notOurs are the folders that are no part of the repository's text, with those
// that npm makes: what git keeps, and what .gitignore names.
var notOurs = []string{".git", "bin", "data", "secrets"}

// walk calls visit for every regular file of the repository. A file that goes
// away meanwhile is passed over: tests of other packages run at the same time.
func walk(fsys fs.FS, visit func(name string, d fs.DirEntry) error) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err == nil && d.IsDir() && (slices.Contains(notOurs, name) || d.Name() == "node_modules"):
			return fs.SkipDir
		case err == nil && d.Type().IsRegular() && name != ".git": // a file in a second worktree
			err = visit(name, d)
		}
		if name != "." && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// scan reads the Go files of the module, whatever their build constraints.
func scan(fsys fs.FS) ([]file, error) {
	var files []file
	err := walk(fsys, func(name string, _ fs.DirEntry) error {
		if path.Ext(name) != ".go" || strings.Contains(name, "testdata/") || otherModule(fsys, path.Dir(name)) {
			return nil
		}
		f, err := read(fsys, name)
		files = append(files, f)
		return err
	})
	return files, err
}

// otherModule reports whether a folder below the root has or is in a module of
// its own.
func otherModule(fsys fs.FS, dir string) bool {
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

func read(fsys fs.FS, name string) (file, error) {
	source, err := fs.ReadFile(fsys, name)
	if err != nil {
		return file{}, err
	}
	tree, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{name: name}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.imports = append(f.imports, imported)
		if imported == "net/http" {
			f.serves = served(tree, localName(spec, "http"))
		}
	}
	return f, nil
}

func localName(spec *ast.ImportSpec, usual string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	return usual
}

// served returns which servingNames of the package with a local name the file
// uses.
func served(tree *ast.File, local string) []string {
	var names []string
	ast.Inspect(tree, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := selector.X.(*ast.Ident)
		name := selector.Sel.Name
		if ok && pkg.Name == local && slices.Contains(servingNames, name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
		return true
	})
	return names
}
