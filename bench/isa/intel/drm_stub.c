// LD_PRELOAD for Mesa's ANV without hardware: a made-up Intel device whose kernel says yes to everything and runs nothing.
// STUB_DEVICE is the PCI id (default 0x9a49, Tiger Lake GT2), STUB_FILE the path of a file that stands for the render node:
// it is made here, and ANV keeps 19 characters of it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libdrm/drm.h>
#include <libdrm/i915_drm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xf86drm.h>

static const char *file(void) { const char *f = getenv("STUB_FILE"); return f ? f : "/tmp/isa_stub"; }
static drmDevice dev; static drmPciBusInfo bus = {0, 0, 2, 0}; static drmPciDeviceInfo info; static char *nodes[DRM_NODE_MAX];
static drmDevicePtr make(void) {
  const char *id = getenv("STUB_DEVICE");
  int fd = open(file(), O_RDWR | O_CREAT, 0600);
  if (fd >= 0) { if (ftruncate(fd, 1ll << 40)) {} close(fd); }
  info.vendor_id = 0x8086; info.device_id = id ? strtol(id, 0, 0) : 0x9a49;
  nodes[DRM_NODE_RENDER] = (char *)file();
  dev.nodes = nodes;
  dev.available_nodes = 1 << DRM_NODE_RENDER;
  dev.bustype = DRM_BUS_PCI;
  dev.businfo.pci = &bus;
  dev.deviceinfo.pci = &info;
  return &dev;
}
int drmGetDevices2(uint32_t flags, drmDevicePtr d[], int max) { (void)flags; if (d && max > 0) d[0] = make(); return 1; }
int drmGetDevice2(int fd, uint32_t flags, drmDevicePtr *d) { (void)fd; (void)flags; *d = make(); return 0; }
int drmGetDevice(int fd, drmDevicePtr *d) { (void)fd; *d = make(); return 0; }
void drmFreeDevices(drmDevicePtr d[], int n) { (void)d; (void)n; }
void drmFreeDevice(drmDevicePtr *d) { (void)d; }

static uint32_t handles = 1; static uint64_t place = 1 << 20, places[1 << 20];
static int answer(unsigned long request, void *arg) {
  switch (request) {
    case DRM_IOCTL_I915_GETPARAM: {
      drm_i915_getparam_t *p = arg;
      switch (p->param) {
        case I915_PARAM_CHIPSET_ID: *p->value = make()->deviceinfo.pci->device_id; break;
        case I915_PARAM_CMD_PARSER_VERSION: *p->value = 10; break;
        case I915_PARAM_MMAP_GTT_VERSION: *p->value = 4; break;
        case I915_PARAM_CS_TIMESTAMP_FREQUENCY: *p->value = 19200000; break;
        case I915_PARAM_MMAP_VERSION: *p->value = 1; break;
        case I915_PARAM_SLICE_MASK: *p->value = 1; break;
        case I915_PARAM_SUBSLICE_MASK: *p->value = 0x3f; break;
        case I915_PARAM_EU_TOTAL: *p->value = 96; break;
        case I915_PARAM_HAS_SCHEDULER: *p->value = 7; break;
        default: *p->value = 1;
      }
      return 0;
    }
    case DRM_IOCTL_I915_GEM_CONTEXT_GETPARAM: {
      struct drm_i915_gem_context_param *p = arg;
      p->value = p->param == I915_CONTEXT_PARAM_GTT_SIZE ? 1ull << 48 : 0;
      return 0;
    }
    case DRM_IOCTL_I915_GEM_CONTEXT_CREATE: ((struct drm_i915_gem_context_create *)arg)->ctx_id = handles++; return 0;
    case DRM_IOCTL_I915_GEM_CREATE: {
      struct drm_i915_gem_create *c = arg;
      c->handle = handles++; places[c->handle] = place; place += (c->size + 65535) & ~65535ull;
      return 0;
    }
    case DRM_IOCTL_I915_GEM_USERPTR: ((struct drm_i915_gem_userptr *)arg)->handle = handles++; return 0;
    case DRM_IOCTL_I915_GEM_MMAP_OFFSET: { struct drm_i915_gem_mmap_offset *m = arg; m->offset = places[m->handle]; return 0; }
    case DRM_IOCTL_I915_GEM_GET_APERTURE: ((struct drm_i915_gem_get_aperture *)arg)->aper_size = 1ull << 38; return 0;
    case DRM_IOCTL_SYNCOBJ_CREATE: ((struct drm_syncobj_create *)arg)->handle = handles++; return 0;
    case DRM_IOCTL_I915_REG_READ: ((struct drm_i915_reg_read *)arg)->val = 0; return 0;
    case DRM_IOCTL_I915_QUERY: {
      struct drm_i915_query *query = arg;
      struct drm_i915_query_item *items = (void *)(uintptr_t)query->items_ptr;
      for (uint32_t i = 0; i < query->num_items; i++) {
        int32_t size = sizeof(struct drm_i915_query_memory_regions) + sizeof(struct drm_i915_memory_region_info);
        if (items[i].query_id != DRM_I915_QUERY_MEMORY_REGIONS) { items[i].length = -EINVAL; continue; }
        if (items[i].length >= size) {
          struct drm_i915_query_memory_regions *all = (void *)(uintptr_t)items[i].data_ptr;
          memset(all, 0, size);
          all->num_regions = 1;
          all->regions[0].region.memory_class = I915_MEMORY_CLASS_SYSTEM;
          all->regions[0].probed_size = all->regions[0].unallocated_size = 1ull << 36;
        }
        items[i].length = size;
      }
      return 0;
    }
    default: return 0;
  }
}
int ioctl(int fd, unsigned long request, ...) {
  va_list list; va_start(list, request); void *arg = va_arg(list, void *); va_end(list);
  if (_IOC_TYPE(request) == 'd') {
    if (getenv("STUB_TRACE")) fprintf(stderr, "stub ioctl %lx (%lx) %d\n", _IOC_NR(request), request, arg ? *(int *)arg : 0);
    return answer(request, arg);
  }
  static int (*next)(int, unsigned long, ...);
  if (!next) next = dlsym(RTLD_NEXT, "ioctl");
  return next(fd, request, arg);
}
