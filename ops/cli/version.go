package cli

import "runtime/debug"

// version is the program's: a release's, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if r := setting(info, "vcs.revision"); r != "" {
		return r[:min(len(r), 12)]
	}
	return "unknown"
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
