package templates

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type lexemeKind uint8

const (
	endLexeme      lexemeKind = iota
	wordLexeme                // contact, and, or, contains, in, reversed
	keywordLexeme             // limit: (the colon touches the word)
	propertyLexeme            // .first_name (the dot touches the word)
	literalLexeme             // "text", 'text', 12, 1.5, true, false, nil
	signLexeme                // == != < > <= >= | , [ ] ( ) .. = :
)

type lexeme struct {
	kind  lexemeKind
	text  string
	value any // of a literal: string, int, float64, bool or nil
}

// describe names the lexeme in a complaint, without repeating a text.
func (l lexeme) describe() string {
	if _, isText := l.value.(string); isText {
		return "a text in quotes"
	}
	return strconv.Quote(l.text)
}

func (l lexeme) is(kind lexemeKind, text string) bool { return l.kind == kind && l.text == text }

// lex cuts what stands within a tag or an output into lexemes. It accepts less
// than the Liquid library does: no character that has no meaning.
func lex(text string) ([]lexeme, error) {
	var out []lexeme
	for {
		text = strings.TrimLeft(text, " \t\n\v\f\r")
		if text == "" {
			return append(out, lexeme{}), nil
		}
		l, length, err := lexOne(text)
		if err != nil {
			return nil, err
		}
		out, text = append(out, l), text[length:]
	}
}

func lexOne(text string) (lexeme, int, error) {
	switch c := text[0]; {
	case c == '"' || c == '\'':
		return lexString(text)
	case c == '.' && wordLength(text[1:]) > 0:
		n := 1 + wordLength(text[1:])
		return lexeme{kind: propertyLexeme, text: text[1:n]}, n, nil
	case isDigit(c) || (c == '-' && len(text) > 1 && isDigit(text[1])):
		return lexNumber(text)
	}
	for _, sign := range []string{"==", "!=", ">=", "<=", "..", "<", ">", "|", ",", "[", "]", "(", ")", "=", ":"} {
		if strings.HasPrefix(text, sign) {
			return lexeme{kind: signLexeme, text: sign}, len(sign), nil
		}
	}
	n := wordLength(text)
	if n == 0 {
		r, _ := utf8.DecodeRuneInString(text)
		return lexeme{}, 0, fmt.Errorf("%q has no meaning here", r)
	}
	if n < len(text) && text[n] == ':' {
		return lexeme{kind: keywordLexeme, text: text[:n]}, n + 1, nil
	}
	switch word := text[:n]; word {
	case "true", "false":
		return lexeme{literalLexeme, word, word == "true"}, n, nil
	case "nil":
		return lexeme{literalLexeme, word, nil}, n, nil
	default:
		return lexeme{kind: wordLexeme, text: word}, n, nil
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// wordLength returns how many bytes of a name text begins with: a letter or _,
// then letters, digits, marks, _ and -.
func wordLength(text string) int {
	for i, r := range text {
		first := unicode.IsLetter(r) || r == '_'
		if !first && (i == 0 || !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '-') {
			return i
		}
	}
	return len(text)
}

// lexString reads a text in quotes. In double quotes \\ \" \n \t and \r have a
// meaning, in single quotes nothing has.
func lexString(text string) (lexeme, int, error) {
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == text[0]:
			return lexeme{literalLexeme, text[:i+1], b.String()}, i + 1, nil
		case c == '\\' && text[0] == '"' && i+1 < len(text):
			i++
			if at := strings.IndexByte(`\"ntr`, text[i]); at >= 0 {
				b.WriteByte("\\\"\n\t\r"[at])
			} else {
				b.WriteString(text[i-1 : i+1])
			}
		default:
			b.WriteByte(c)
		}
	}
	return lexeme{}, 0, errors.New("a text is not closed by its quote")
}

func lexNumber(text string) (lexeme, int, error) {
	n := 1
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	if n+1 < len(text) && text[n] == '.' && isDigit(text[n+1]) {
		for n++; n < len(text) && isDigit(text[n]); {
			n++
		}
		f, err := strconv.ParseFloat(text[:n], 64)
		if err != nil || f > maxLiteral || f < -maxLiteral {
			return lexeme{}, 0, errNumber
		}
		return lexeme{literalLexeme, text[:n], f}, n, nil
	}
	i, err := strconv.Atoi(text[:n])
	if err != nil || i > maxLiteral || i < -maxLiteral {
		return lexeme{}, 0, errNumber
	}
	return lexeme{literalLexeme, text[:n], i}, n, nil
}

var errNumber = errors.New("a number lies between -1,000,000 and 1,000,000")
