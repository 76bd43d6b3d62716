// Package stages lists the services of the flow; flow.go is the list. Each is a
// package of its own that knows no other: they meet in events alone.
package stages
