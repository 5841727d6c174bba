// Package docs holds the tests that keep README.md and docs/ true: the lists in
// them are the lists in the code, their examples are accepted, and their links
// lead somewhere.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// section returns what stands below a heading, up to the next one of its level
// or above.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	level, _, _ := strings.Cut(heading, " ")
	_, rest, found := strings.Cut(read(t, page), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	end := regexp.MustCompile(`(?m)^#{1,` + string(rune('0'+len(level))) + `} `).FindStringIndex(rest)
	if end != nil {
		rest = rest[:end[0]]
	}
	return rest
}

// rows returns the cells of the table rows in a text, without heads and rules.
func rows(text string) (all [][]string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		head := i+1 < len(lines) && isRule(lines[i+1])
		if !strings.HasPrefix(line, "|") || isRule(line) || head {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	return all
}

func isRule(line string) bool {
	return strings.HasPrefix(line, "|") && strings.Trim(line, "|-: ") == ""
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// codes returns what stands in backticks.
func codes(text string) (all []string) {
	for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// firstColumn returns the code spans in the first cells of the tables in a text.
func firstColumn(text string) (all []string) {
	for _, cells := range rows(text) {
		all = append(all, codes(cells[0])...)
	}
	return all
}

// blocks returns the contents of the fenced blocks of a language.
func blocks(text, language string) (all []string) {
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// pages lists the files that this package answers for.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"README.md", "CONTRIBUTING.md", "deploy/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/adr/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			name, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, filepath.ToSlash(name))
		}
	}
	return all
}

var (
	link    = regexp.MustCompile(`\[([^\]\n]+)\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinksLeadSomewhere follows every link within the repository. A link to Go
// code whose text is a name, such as that of a test, leads to a file that has
// it.
func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range pages(t) {
		text := read(t, page)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			label, target := match[1], match[2]
			if strings.Contains(target, "://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := page
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(page), file))
			}
			info, err := os.Stat(filepath.Join(root, to))
			switch {
			case err != nil:
				t.Errorf("%s: %s leads nowhere", page, target)
			case anchor != "" && !slices.Contains(anchors(read(t, to)), anchor):
				t.Errorf("%s: %s has no heading for #%s", page, to, anchor)
			case strings.HasSuffix(to, ".go") && !info.IsDir():
				for _, name := range codes(label) {
					if !strings.Contains(read(t, to), name) {
						t.Errorf("%s: there is no %q in %s", page, name, to)
					}
				}
			}
		}
	}
}

// anchors returns the names that headings are linked to by.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
				return r
			}
			return -1
		}, strings.ToLower(match[1]))
		all = append(all, name)
	}
	return all
}

// TestTestsExist looks for every test that a page names anywhere.
func TestTestsExist(t *testing.T) {
	known := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return nil //nolint:nilerr // files of other tests come and go
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(content), -1) {
			known[match[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(read(t, page), -1) {
			if !known[name] {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
}
