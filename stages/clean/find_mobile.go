package clean

import "strings"

// findMobiles finds mobile numbers of mainland China: 11 digits of an assigned
// range, written in one, or as 3-4-4, with or without the country code.
func findMobiles(p plain) []finding {
	var found []finding
	for _, n := range p.numbers(isMobile) {
		f := finding{kindMobile, n.from, n.to, n.digits[len(n.digits)-11:]}
		if f.from > 0 && p.text[f.from-1] == '+' && len(n.digits) > 11 {
			f.from--
		}
		found = append(found, f)
	}
	return found
}

func isMobile(n number) bool {
	digits, groups := n.digits, n.groups
	for _, code := range []string{"0086", "86"} {
		if len(digits) == 11+len(code) && strings.HasPrefix(digits, code) {
			digits = digits[len(code):]
			if groups[0] == len(code) {
				groups = groups[1:]
			} else {
				groups = append([]int{groups[0] - len(code)}, groups[1:]...)
			}
			break
		}
	}
	if len(digits) != 11 || !assigned(digits) {
		return false
	}
	return grouped(groups, 11) || grouped(groups, 3, 4, 4) || grouped(groups, 3, 8) || grouped(groups, 7, 4)
}

// assigned reports whether the digits begin with a range given to mobile
// numbers by the ministry's numbering plan.
func assigned(digits string) bool {
	if digits[0] != '1' {
		return false
	}
	second := map[byte]string{
		'3': "0123456789", '4': "56789", '5': "012356789", '6': "2567", '7': "012345678", '8': "0123456789", '9': "012356789",
	}
	return strings.IndexByte(second[digits[1]], digits[2]) >= 0
}

// grouped reports whether the groups have exactly these lengths.
func grouped(groups []int, want ...int) bool {
	if len(groups) != len(want) {
		return false
	}
	for i := range want {
		if groups[i] != want[i] {
			return false
		}
	}
	return true
}
