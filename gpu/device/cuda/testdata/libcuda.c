// A driver for the tests: one device whose memory is the host's, poisoned when
// it is allocated. The environment variable FAKE_CUDA_FAULT, read at each call,
// makes one thing go wrong: "init", "memory" or "corrupt".

#include <stdlib.h>
#include <string.h>

#include <cuda.h>

static long live; // bytes allocated and not freed

static int fault(const char *name) {
	const char *f = getenv("FAKE_CUDA_FAULT");
	return f && strcmp(f, name) == 0;
}

CUresult cuInit(unsigned flags) { return fault("init") || flags ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS; }

CUresult cuGetErrorString(CUresult error, const char **text) {
	*text = error == CUDA_ERROR_NO_DEVICE ? "no CUDA-capable device is detected" : "another error";
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) { return *version = 12080, CUDA_SUCCESS; }
CUresult cuDeviceGetCount(int *count) { return *count = 1, CUDA_SUCCESS; }

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
	return *device = ordinal, ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
	(void)device;
	strncpy(name, "Fake GPU", size);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
	(void)device;
	for (int i = 0; i < 16; i++)
		uuid->bytes[i] = i;
	return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
	return *bytes = (size_t)8 << 30, (void)device, CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
	(void)device;
	*value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 0;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
	return *context = (CUcontext)&live, (void)device, CUDA_SUCCESS;
}

// Memory that was not given back is an error here, so that a test sees it.
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
	return (void)device, live == 0 ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_STATE;
}

CUresult cuCtxSetCurrent(CUcontext context) {
	return context == (CUcontext)&live ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
	*total = (size_t)8 << 30;
	*free = *total - live;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *pointer, size_t size) {
	size_t *block = fault("memory") ? NULL : malloc(sizeof size + size);
	if (!block)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*block = size;
	memset(block + 1, 0xff, size);
	live += size;
	*pointer = (CUdeviceptr)(uintptr_t)(block + 1);
	return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr pointer) {
	size_t *block = (size_t *)(uintptr_t)pointer - 1;
	live -= *block;
	free(block);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size) {
	memcpy((void *)(uintptr_t)to, from, size);
	if (fault("corrupt"))
		((char *)(uintptr_t)to)[size / 2] ^= 1;
	return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
	memcpy(to, (void *)(uintptr_t)from, size);
	return CUDA_SUCCESS;
}
