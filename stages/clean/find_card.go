package clean

import "strings"

// findCards finds bank card numbers (ISO/IEC 7812): the Luhn digit is right, the
// beginning is that of an issuer, and either the digits are grouped as on a card
// or words nearby speak of one. One in ten numbers passes the Luhn test by
// chance, so it alone proves nothing.
func findCards(p plain) []finding {
	var found []finding
	for _, n := range p.numbers(func(n number) bool {
		return isIssued(n.digits) && luhn(n.digits) && (cardGroups(n.groups) || len(n.groups) == 1 && speaksOfCard(p, n))
	}) {
		found = append(found, finding{kindCard, n.from, n.to, n.digits})
	}
	return found
}

// isIssued reports whether digits have the length and the beginning of a card
// network's numbers: UnionPay, Visa, Mastercard, American Express, JCB,
// Discover.
func isIssued(digits string) bool {
	if len(digits) < 15 || strings.Contains(digits, "X") {
		return false
	}
	four := digits[:4]
	switch n := len(digits); {
	case digits[:2] == "62":
		return n >= 16 && n <= 19
	case digits[:2] == "34", digits[:2] == "37":
		return n == 15
	case digits[0] == '4', four >= "5100" && four <= "5599", four >= "2221" && four <= "2720", four >= "3528" && four <= "3589":
		return n == 16
	case four == "6011", digits[:2] == "65":
		return n >= 16 && n <= 19
	}
	return false
}

// luhn reports whether the check digit is right (ISO/IEC 7812-1, annex B).
func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// cardGroups reports whether the groups are those that cards are printed in:
// fours with a shorter rest, 6-13 for UnionPay, 4-6-5 for American Express.
func cardGroups(groups []int) bool {
	if grouped(groups, 6, 13) || grouped(groups, 4, 6, 5) {
		return true
	}
	for _, n := range groups[:len(groups)-1] {
		if n != 4 {
			return false
		}
	}
	return len(groups) >= 4 && groups[len(groups)-1] <= 4
}

// speaksOfCard reports whether the words around a number speak of a card or an
// account.
func speaksOfCard(p plain, n number) bool {
	const before, after = 60, 30 // bytes: 20 and 10 Chinese characters
	text := p.around(n.from, n.to, before, after)
	for _, word := range []string{
		"卡", "尾号", "账号", "帐号", "账户", "帐户", "开户", "银行", "card", "credit", "debit", "visa", "mastercard", "unionpay", "amex", "bank", "account",
	} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
