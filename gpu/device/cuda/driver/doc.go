// Package driver stands between gorgonia.org/cu and libcuda, so that one binary
// starts on machines with and without an NVIDIA driver.
//
// cu is linked with -lcuda and calls cuInit before main, ending the process if
// that fails. Here the linker finds an empty libcuda.a instead (lib/) and takes
// the functions from this package: each is a jump through a table
// (trampoline_linux_*.S). At start every entry of the table says "not
// initialized", except cuInit, which agrees to anything. [Load] opens the real
// library and fills the table.
//
// symbols.h lists the functions; TestSymbols -rewrite writes it anew from what
// cu needs. The package is empty without tag cuda, and only gpu/device/cuda may
// import it.
package driver
