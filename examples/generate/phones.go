package main

import (
	"fmt"
	"math/rand/v2"
)

// areaCodes are of North America, where 555-0100 to 555-0199 are kept for
// fiction. In Sweden 070-174 06 05 to 99 are.
var areaCodes = []int{206, 212, 303, 305, 312, 404, 415, 503, 512, 617, 702, 808}

// givePhones gives 1,000 customers a phone number: 190 Swedish ones, each of
// which two people have, 765 American ones, and 45 that are none.
func givePhones(random *rand.Rand, customers []customer) {
	abroad := random.Perm(100 * len(areaCodes))
	for n, i := range random.Perm(len(customers))[:1000] {
		switch {
		case n < 190:
			customers[i].phone = swedishPhone(n, 5+n%95)
		case n < 955:
			line := abroad[n-190]
			customers[i].phone = americanPhone(n, areaCodes[line/100], line%100)
		default:
			customers[i].phone = badPhone(n)
		}
	}
}

func swedishPhone(style, number int) string {
	switch style % 5 {
	case 0:
		return fmt.Sprintf("070-174 06 %02d", number)
	case 1:
		return fmt.Sprintf("+46 70 174 06 %02d", number)
	case 2:
		return fmt.Sprintf("07017406%02d", number)
	case 3:
		return fmt.Sprintf("+46 (0)70-174 06 %02d", number)
	}
	return fmt.Sprintf("004670-17406%02d", number)
}

func americanPhone(style, area, line int) string {
	switch style % 3 {
	case 0:
		return fmt.Sprintf("+1 %d 555 01%02d", area, line)
	case 1:
		return fmt.Sprintf("+1 (%d) 555-01%02d", area, line)
	}
	return fmt.Sprintf("+1%d55501%02d", area, line)
}

// badPhone gives what no SMS reaches: British numbers kept for fiction, which
// are valid nowhere, numbers with letters or digits missing, and words.
func badPhone(n int) string {
	switch n % 6 {
	case 0:
		return fmt.Sprintf("070-174 06 %d", n%10)
	case 1:
		return "070-174 O6 05"
	case 2:
		return "saknas"
	}
	return fmt.Sprintf("+44 7700 900%03d", n)
}
