// Package driver stands between gorgonia.org/cu and libcuda, so that one binary
// starts on machines with and without an NVIDIA driver.
//
// cu is linked with -lcuda and calls cuInit before main, ending the process if
// that fails. Here the linker finds an empty libcuda.a instead (lib/) and takes
// the functions from this package: a cuInit that agrees to anything, and for every
// other function a jump through a table (trampoline_linux_*.S). At start each
// entry of the table answers "not initialized". [Load] opens the real library,
// initialises it and fills the table.
//
// symbols.h lists the functions; TestSymbols -rewrite writes it anew from what
// cu needs. The package is empty without tag cuda, and only gpu/device/cuda may
// import it.
package driver
