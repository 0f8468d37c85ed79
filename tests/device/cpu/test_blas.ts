// A small C library that can be called as a BLAS, for tests on machines that have none.

const SOURCE = `
#include <math.h>
#include <string.h>
static int threads = 64;
void SET_THREADS(int n) { threads = n; }
#ifdef CONFIG
char *CONFIG(void) { return "OpenBLAS 1.2.3 FOR_TESTS"; }
#else
void MKL_Get_Version_String(char *text, int size) { strncpy(text, "Library Version 4.5-Product FOR_TESTS", size); }
#endif
/* NaN if it would use several threads, or if the matrices are not row-major. */
void SGEMM(int order, int ta, int tb, INT M, INT N, INT K, float alpha, const float *a, INT lda, const float *b, INT ldb,
           float beta, float *y, INT ldy) {
  for (INT i = 0; i < M; i++)
    for (INT j = 0; j < N; j++) {
      double sum = order == 101 && threads == 1 && beta == 0 ? 0 : NAN;
      for (INT k = 0; k < K; k++)
        sum += (double)a[ta == 112 ? k * lda + i : i * lda + k] * b[tb == 112 ? j * ldb + k : k * ldb + j];
      y[i * ldy + j] = alpha * sum;
    }
}
`;

/** Compiles the library with the C compiler of the system: integers and names of OpenBLAS, of numpy's wheel, or of MKL. */
export async function compileBlas(folder: string, kind: "openblas" | "numpy" | "mkl"): Promise<string> {
  const [prefix, suffix, int] = kind === "numpy" ? ["scipy_", "64_", "long long"] : ["", "", "int"];
  const names = kind === "mkl"
    ? { SGEMM: "cblas_sgemm", SET_THREADS: "MKL_Set_Num_Threads" }
    : { SGEMM: "cblas_sgemm", CONFIG: "openblas_get_config", SET_THREADS: "openblas_set_num_threads" };
  const path = `${folder}/libblas_${kind}.so`;
  await Deno.writeTextFile(`${folder}/${kind}.c`, SOURCE);
  const { success, stderr } = await new Deno.Command("cc", {
    args: [
      ...["-O2", "-shared", "-fPIC", "-o", path, `-DINT=${int}`],
      ...Object.entries(names).map(([name, symbol]) => `-D${name}=${prefix}${symbol}${suffix}`),
      `${folder}/${kind}.c`,
    ],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return path;
}

/** Whether there is a C compiler. */
export const HAS_COMPILER: boolean = await new Deno.Command("cc", {
  args: ["--version"],
  stdout: "null",
  stderr: "null",
}).output().then(({ success }) => success, () => false);
