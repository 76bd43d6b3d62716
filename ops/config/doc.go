// Package config reads what a glmflow process should do: defaults, over them a
// YAML file, over it GLMFLOW_* environment variables; the command line's flags
// come last. Unknown keys and impossible values are errors that show the line.
//
// [Config] is the whole of it. Each stage's section is that stage's own Config
// struct, documented there. testdata/*.bad.yaml holds one mistake a file with
// the error it gives.
package config
