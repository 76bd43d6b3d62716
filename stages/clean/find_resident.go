package clean

import (
	"strings"
	"time"
)

// findResidents finds resident identity numbers of 18 characters (GB 11643-1999):
// six for the place, eight for the date of birth, three in sequence, one check
// character. An order number that begins with a date hardly ever passes.
func findResidents(p plain) []finding {
	var found []finding
	for _, n := range p.numbers(isResident) {
		found = append(found, finding{kindResident, n.from, n.to, n.digits})
	}
	return found
}

func isResident(n number) bool {
	if len(n.digits) != 18 || strings.IndexByte("0123456789X", n.digits[17]) < 0 {
		return false
	}
	groups := n.groups
	if n.digits[17] == 'X' { // not counted among the digits of its group
		groups = append(append([]int(nil), groups[:len(groups)-1]...), groups[len(groups)-1]+1)
	}
	if !grouped(groups, 18) && !grouped(groups, 6, 8, 4) && !grouped(groups, 6, 4, 4, 4) && !grouped(groups, 3, 3, 4, 4, 4) {
		return false
	}
	return isProvince(n.digits[:2]) && isBirthday(n.digits[6:14]) && residentCheck(n.digits[:17]) == n.digits[17]
}

// isProvince reports whether code is a province's, region's or municipality's
// (GB/T 2260), or 83 of the residence permits for Taiwan.
func isProvince(code string) bool {
	const provinces = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
	return strings.Contains(provinces, code)
}

// isBirthday reports whether yyyymmdd is a date on which somebody alive, or who
// lately was, may have been born.
func isBirthday(yyyymmdd string) bool {
	day, err := time.Parse("20060102", yyyymmdd)
	return err == nil && day.Year() >= 1880 && day.Year() < 2100
}

// residentCheck returns the check character: the weighted sum modulo 11 (ISO
// 7064 MOD 11-2).
func residentCheck(digits string) byte {
	sum := 0
	for i, weight := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += weight * int(digits[i]-'0')
	}
	return "10X98765432"[sum%11]
}
