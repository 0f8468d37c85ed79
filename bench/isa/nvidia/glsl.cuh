// Just enough GLSL for what spirv-cross writes of naga's SPIR-V, in CUDA.
#pragma once
typedef unsigned int uint;
#define D __device__ __forceinline__
template <class T> struct alignas(2 * sizeof(T)) V2 {
  T x, y;
  D V2() {}
  D explicit V2(T a) : x(a), y(a) {}
  D V2(T a, T b) : x(a), y(b) {}
  D T &operator[](uint i) { return (&x)[i]; }
  D T operator[](uint i) const { return (&x)[i]; }
};
template <class T> struct V3 {
  T x, y, z;
  D V3() {}
  D explicit V3(T a) : x(a), y(a), z(a) {}
  D V3(T a, T b, T c) : x(a), y(b), z(c) {}
};
template <class T> struct alignas(4 * sizeof(T)) V4 {
  T x, y, z, w;
  D V4() {}
  D explicit V4(T a) : x(a), y(a), z(a), w(a) {}
  D V4(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) {}
  template <class U> D explicit V4(V4<U> a) : x(T(a.x)), y(T(a.y)), z(T(a.z)), w(T(a.w)) {}
  D T &operator[](uint i) { return (&x)[i]; }
  D T operator[](uint i) const { return (&x)[i]; }
};
#define OPS(op)                                                                                          \
  template <class T> D V4<T> operator op(V4<T> a, V4<T> b) { return V4<T>(a.x op b.x, a.y op b.y, a.z op b.z, a.w op b.w); } \
  template <class T> D V4<T> operator op(V4<T> a, T b) { return V4<T>(a.x op b, a.y op b, a.z op b, a.w op b); } \
  template <class T> D V4<T> operator op(T a, V4<T> b) { return V4<T>(a op b.x, a op b.y, a op b.z, a op b.w); } \
  template <class T> D V4<T> &operator op##=(V4<T> &a, V4<T> b) { return a = a op b; }                   \
  template <class T> D V4<T> &operator op##=(V4<T> &a, T b) { return a = a op b; }                       \
  template <class T> D V3<T> operator op(V3<T> a, V3<T> b) { return V3<T>(a.x op b.x, a.y op b.y, a.z op b.z); } \
  template <class T> D V3<T> operator op(V3<T> a, T b) { return V3<T>(a.x op b, a.y op b, a.z op b); } \
  template <class T> D V2<T> operator op(V2<T> a, V2<T> b) { return V2<T>(a.x op b.x, a.y op b.y); }     \
  template <class T> D V2<T> operator op(V2<T> a, T b) { return V2<T>(a.x op b, a.y op b); }     \
  template <class T> D V2<T> &operator op##=(V2<T> &a, V2<T> b) { return a = a op b; }
OPS(+) OPS(-) OPS(*) OPS(/) OPS(%) OPS(&) OPS(|) OPS(^) OPS(<<) OPS(>>)
typedef V2<float> vec2; typedef V3<float> vec3; typedef V4<float> vec4;
typedef V2<uint> uvec2; typedef V3<uint> uvec3; typedef V4<uint> uvec4;
typedef V2<int> ivec2; typedef V3<int> ivec3; typedef V4<int> ivec4;
typedef V2<bool> bvec2; typedef V4<bool> bvec4;
template <class T> D bvec2 equal(V2<T> a, V2<T> b) { return bvec2(a.x == b.x, a.y == b.y); }
template <class T> D bvec4 equal(V4<T> a, V4<T> b) { return bvec4(a.x == b.x, a.y == b.y, a.z == b.z, a.w == b.w); }
D bool all(bvec2 a) { return a.x && a.y; }
D bool all(bvec4 a) { return a.x && a.y && a.z && a.w; }
D bool any(bvec4 a) { return a.x || a.y || a.z || a.w; }
D float dot(vec4 a, vec4 b) { return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, a.x * b.x))); }
D float dot(vec3 a, vec3 b) { return fmaf(a.z, b.z, fmaf(a.y, b.y, a.x * b.x)); }
D float mix(float a, float b, bool t) { return t ? b : a; }
D uint mix(uint a, uint b, bool t) { return t ? b : a; }
D float mix(float a, float b, float t) { return a + (b - a) * t; }
D float sign(float x) { return x > 0.f ? 1.f : x < 0.f ? -1.f : 0.f; }
template <class T> D V4<T> mix(V4<T> a, V4<T> b, bvec4 t) { return V4<T>(t.x ? b.x : a.x, t.y ? b.y : a.y, t.z ? b.z : a.z, t.w ? b.w : a.w); }
template <class T> D V4<T> operator-(V4<T> a) { return V4<T>(-a.x, -a.y, -a.z, -a.w); }
D vec4 vexp(vec4 a) { return vec4(__expf(a.x), __expf(a.y), __expf(a.z), __expf(a.w)); }
D vec4 vlog(vec4 a) { return vec4(__logf(a.x), __logf(a.y), __logf(a.z), __logf(a.w)); }
D vec4 max(vec4 a, vec4 b) { return vec4(fmaxf(a.x, b.x), fmaxf(a.y, b.y), fmaxf(a.z, b.z), fmaxf(a.w, b.w)); }
D vec4 min(vec4 a, vec4 b) { return vec4(fminf(a.x, b.x), fminf(a.y, b.y), fminf(a.z, b.z), fminf(a.w, b.w)); }
D ivec4 max(ivec4 a, ivec4 b) { return ivec4(max(a.x, b.x), max(a.y, b.y), max(a.z, b.z), max(a.w, b.w)); }
D ivec4 min(ivec4 a, ivec4 b) { return ivec4(min(a.x, b.x), min(a.y, b.y), min(a.z, b.z), min(a.w, b.w)); }
#define COMPARE(name, op) template <class T> D bvec4 name(V4<T> a, V4<T> b) { return bvec4(a.x op b.x, a.y op b.y, a.z op b.z, a.w op b.w); }
COMPARE(lessThan, <) COMPARE(lessThanEqual, <=) COMPARE(greaterThan, >) COMPARE(greaterThanEqual, >=)
D float inversesqrt(float x) { return rsqrtf(x); }
D uvec4 floatBitsToUint(vec4 a) {
  return uvec4(__float_as_uint(a.x), __float_as_uint(a.y), __float_as_uint(a.z), __float_as_uint(a.w));
}
D vec4 uintBitsToFloat(uvec4 a) {
  return vec4(__uint_as_float(a.x), __uint_as_float(a.y), __uint_as_float(a.z), __uint_as_float(a.w));
}
D uint floatBitsToUint(float x) { return __float_as_uint(x); }
D float uintBitsToFloat(uint x) { return __uint_as_float(x); }
D float vexp(float x) { return __expf(x); }
D float vlog(float x) { return __logf(x); }
#define exp vexp
#define log vlog
#define barrier() __syncthreads()
#define memoryBarrierShared()
#define gl_LocalInvocationIndex (threadIdx.x)
#define gl_WorkGroupID (uvec3(blockIdx.x, blockIdx.y, blockIdx.z))
#define gl_NumWorkGroups (uvec3(gridDim.x, gridDim.y, gridDim.z))
#define gl_LocalInvocationID (uvec3(threadIdx.x % SX, threadIdx.x / SX, 0u))
#define gl_GlobalInvocationID (uvec3(blockIdx.x * SX + threadIdx.x % SX, blockIdx.y * SY + threadIdx.x / SX, blockIdx.z))
#define isnan(x) ((x) != (x))
