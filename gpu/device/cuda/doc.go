// Package cuda is the NVIDIA side of glmflow. So far it finds the driver and its
// devices and proves that memory can be copied there and back ([Probe]); the
// operators of device.Device come later, and until then [Open] says so.
//
// It is built on gorgonia.org/cu under tag cuda (`make cuda`). Without the tag,
// and on anything but Linux on amd64 or arm64, the same functions exist and
// answer that this build has no CUDA. With it, the binary still starts
// where there is no driver: see driver/. No toolkit is needed for building:
// include/cuda.h declares what cu uses.
package cuda
