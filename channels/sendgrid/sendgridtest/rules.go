package sendgridtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sendgrid/sendgrid-go/helpers/mail"
)

// Limits and rules of the v3 Mail Send errors page
// (https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors).
const (
	maxPersonalizations = 1000
	maxSubstitutions    = 10_000
	maxCustomArgs       = 10_000
)

var reserved = []string{"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc"}

func checkMail(m *mail.SGMailV3) error {
	if n := len(m.Personalizations); n == 0 || n > maxPersonalizations {
		return fmt.Errorf("personalizations: %d, must be 1 to %d", n, maxPersonalizations)
	}
	if m.From == nil || m.From.Address == "" {
		return errors.New("from: must be provided with an email")
	}
	if m.Subject == "" {
		return errors.New("subject: must be at least one character")
	}
	if err := checkContent(m.Content); err != nil {
		return err
	}
	if err := checkHeaders(m.Headers); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for i, p := range m.Personalizations {
		if err := checkPersonalization(p, seen); err != nil {
			return fmt.Errorf("personalizations.%d.%w", i, err)
		}
	}
	return nil
}

func checkContent(content []*mail.Content) error {
	if len(content) == 0 {
		return errors.New("content: must be provided")
	}
	for i, c := range content {
		if c.Value == "" {
			return errors.New("content: the value must be a string of at least one character")
		}
		if c.Type == "text/plain" && i > 0 {
			return errors.New("content: text/plain must be the first")
		}
	}
	return nil
}

func checkHeaders(headers map[string]string) error {
	for name, value := range headers {
		if slices.Contains(reserved, strings.ToLower(name)) {
			return fmt.Errorf("headers: %s is reserved", name)
		}
		if strings.ContainsAny(value, "\r\n") {
			return fmt.Errorf("headers: %s has a line end", name)
		}
	}
	return nil
}

func checkPersonalization(p *mail.Personalization, seen map[string]bool) error {
	if len(p.To) != 1 || len(p.CC)+len(p.BCC) != 0 {
		return errors.New("to: one recipient is expected here, and no copies")
	}
	address := strings.ToLower(p.To[0].Address)
	if !strings.Contains(address, "@") {
		return errors.New("to: does not contain a valid address")
	}
	if seen[address] {
		return errors.New("to: each email address must be unique between the recipients")
	}
	seen[address] = true
	if size(p.Substitutions) > maxSubstitutions {
		return fmt.Errorf("substitutions: more than %d bytes", maxSubstitutions)
	}
	if size(p.CustomArgs) > maxCustomArgs {
		return fmt.Errorf("custom_args: more than %d bytes", maxCustomArgs)
	}
	return checkHeaders(p.Headers)
}

func size(m map[string]string) int {
	n := 0
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}
