package cli

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/gpu/device/cuda"
	"github.com/glmflow/glmflow/ops/config"
)

// program tells what this binary is.
func program() finding {
	detail := fmt.Sprintf("glmflow %s, %s on %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if info, ok := debug.ReadBuildInfo(); ok {
		tags := setting(info, "-tags")
		if tags == "" {
			tags = "none"
		}
		detail += ", build tags " + tags
		if setting(info, "CGO_ENABLED") == "0" {
			detail += ", without cgo"
		}
	}
	return finding{"program", fine, detail, ""}
}

func checkDevice(c config.Device) finding {
	dev, err := gpu.Open(c.Backend, c.Options())
	if err != nil {
		return finding{"device", broke, err.Error(), "choose device.backend auto, cpu or reference"}
	}
	defer dev.Close()
	info := dev.Info()
	detail := info.Name
	if info.Memory > 0 {
		detail += ", " + byteSize(info.Memory) + " of memory"
	}
	if len(info.Features) > 0 {
		detail += ", features " + strings.Join(info.Features, " ")
	}
	if info.Backend == "reference" {
		return finding{"device", warn, detail, "plain Go is slow: install a C compiler and build with `make build`, which has C kernels"}
	}
	return finding{"device", fine, detail, ""}
}

// checkCUDA looks for NVIDIA devices. Nothing computes on them yet, so that
// their absence is no fault.
func checkCUDA() []finding {
	report, err := cuda.Probe()
	switch {
	case errors.Is(err, cuda.ErrNotBuilt):
		return []finding{{"cuda", fine, "not in this build, and not needed: operators for it are still to come", ""}}
	case err != nil:
		return []finding{{"cuda", warn, err.Error(), "install NVIDIA's driver if this machine has such a device; the host computes meanwhile"}}
	case len(report.Devices) == 0:
		return []finding{{"cuda", fine, "driver for CUDA " + report.Driver + ", no device", ""}}
	}
	var out []finding
	for _, d := range report.Devices {
		if d.Err != nil {
			out = append(out, finding{"cuda", warn, d.Name + ": " + d.Err.Error(), "see nvidia-smi; the host computes meanwhile"})
			continue
		}
		out = append(out, finding{"cuda", fine, fmt.Sprintf("%s, capability %s, %s free of %s, driver for CUDA %s, %s copied there and back",
			d.Name, d.Capability, byteSize(d.Free), byteSize(d.Memory), report.Driver, byteSize(d.Copied)), ""})
	}
	return out
}

// checkTokenizer tells which encoder there is; both give the same ids.
func checkTokenizer(c config.Model) finding {
	switch {
	case tokenizer.HasHuggingFace && c.Tokenizer != tokenizer.Go:
		return finding{"tokenizer", fine, "Hugging Face's tokenizers, with plain Go in reserve", ""}
	case c.Tokenizer == tokenizer.HuggingFace:
		return finding{"tokenizer", broke, "model.tokenizer is hf, which is not in this build", "build with `make build` where there is cargo, or set model.tokenizer to auto"}
	}
	return finding{"tokenizer", fine, "the plain-Go encoder", ""}
}
