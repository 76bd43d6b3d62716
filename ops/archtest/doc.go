// Package archtest holds the tests that keep the tree honest: who may import
// whom and why (imports_test.go), that every dependency has its reason
// (modules_test.go), what every package and stage must look like
// (shape_test.go), and how large the program may be (size_test.go). It has no code
// of its own.
package archtest
