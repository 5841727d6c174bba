package templates

import (
	"regexp"
	"strings"
)

var dialled = regexp.MustCompile(`^\+?[0-9][0-9 ()/-]{2,30}$`)

// mostShown bounds how many topics and platforms a sender may list.
const mostShown = 50

// checkPages checks what the pages for customers tell of a sender. Each of it
// may be absent; what is there must lead somewhere.
func (c *senderChecker) checkPages(s Sender) {
	c.check("topics", areLabels(s.Topics), "topics as campaigns have them, each with its name on one line in sv, en or both")
	c.check("subscriptions", areNamed(s.Subscriptions, s.Topics), "topics that are among topics, each once: whoever subscribes must read what she subscribes to")
	c.check("customer_service", s.CustomerService == nil || isService(*s.CustomerService),
		"email, phone (digits as customers dial them) or page (a web address), and postal_address if there is one")
	c.check("data_protection_officer", s.DataProtection == nil || isMailAddress(s.DataProtection.Email) && isLineOrNone(s.DataProtection.Name),
		"an e-mail address, and a name if there is one")
	c.check("privacy_notice", s.PrivacyNotice == "" || isSite(s.PrivacyNotice), "a web address that begins with https:// or http://, or empty")
	c.check("cookie_settings", s.CookieSettings == "" || isSite(s.CookieSettings), "a web address that begins with https:// or http://, or empty")
	c.check("ad_platforms", arePlatforms(s.AdPlatforms), "each with a name, and with info, settings or both, which are web addresses")
}

func areLabels(topics map[string]Label) bool {
	for topic, l := range topics {
		if CheckTopic(topic) != nil || topic != strings.ToLower(topic) || l.Swedish+l.English == "" || !isLineOrNone(l.Swedish) || !isLineOrNone(l.English) {
			return false
		}
	}
	return len(topics) <= mostShown
}

func areNamed(subscriptions []string, topics map[string]Label) bool {
	seen := map[string]bool{}
	for _, topic := range subscriptions {
		if _, named := topics[topic]; !named || seen[topic] {
			return false
		}
		seen[topic] = true
	}
	return true
}

func isLineOrNone(s string) bool { return s == "" || isOneLine(s) }

func isService(s CustomerService) bool {
	return s.Email+s.Phone+s.Page != "" && (s.Email == "" || isMailAddress(s.Email)) && (s.Phone == "" || dialled.MatchString(s.Phone)) &&
		(s.Page == "" || isSite(s.Page)) && !hasControl(strings.ReplaceAll(s.PostalAddress, "\n", ""))
}

func arePlatforms(platforms []AdPlatform) bool {
	for _, p := range platforms {
		if !isOneLine(p.Name) || p.Info+p.Settings == "" || p.Info != "" && !isSite(p.Info) || p.Settings != "" && !isSite(p.Settings) {
			return false
		}
	}
	return len(platforms) <= mostShown
}
