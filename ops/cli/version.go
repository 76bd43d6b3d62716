package cli

import "runtime/debug"

// version is the program's: a release's, the commit that it was built from, or
// devel where nobody wrote that down.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if r := setting(info, "vcs.revision"); r != "" {
		return r[:min(len(r), 12)]
	}
	return "devel"
}

// setting is one of the facts that the linker wrote down.
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
