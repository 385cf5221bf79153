// From band matrices to tridiagonal ones, column after column: what a reflection adds beyond the
// band is chased down along it by further ones (Schwarz 1968; Lang 1993).
//
// A block of threads has one matrix in shared memory. Hop h of column s changes nothing that hop
// h + 3 of the column before it does, and so they are made at the same time, a warp each.
//
// A_ij of the band, i >= j, stands at 2 WIDTH j + i - j. WIDTH is 8 or 16, and defined where this
// is compiled; it is C++ without an include, for NVRTC.

static const int LANES = 32;
static const int PARTS = LANES / WIDTH;  // of a row's elements, each summed by one lane
static const int EACH = WIDTH / PARTS;
static const int PITCH = 2 * WIDTH;

__device__ static double over_rows(double value) {
    for (int apart = WIDTH / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}

__device__ static double over_parts(double value) {
    for (int apart = WIDTH; apart < LANES; apart *= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}

// The reflection that leaves nothing below row `start` in column `pivot`, from both sides.
__device__ static void hop_on(
    double* band, double* v, double* w, int n, int column, int hop, int start, int lane
) {
    const int i = lane % WIDTH, first = lane / WIDTH * EACH;
    const int pivot = hop == 0 ? column : start - WIDTH;
    const double x = start + i < n ? band[PITCH * pivot + start + i - pivot] : 0.0;
    const double rest = over_rows(i > 0 ? x * x : 0.0);
    const double top = __shfl_sync(0xffffffffu, x, 0);
    if (rest == 0.0) return;  // the whole warp
    const double length = sqrt(top * top + rest);
    const double beside = top > 0.0 ? -length : length;
    const double below = top - beside, inverse = 1.0 / (below * beside);  // divisions are slow
    const double tau = -below * below * inverse;
    const double own = i == 0 ? 1.0 : x * (beside * inverse);
    if (lane < WIDTH) v[i] = own;
    __syncwarp();

    double left[EACH], middle[EACH], right[EACH], of_v[EACH];
    const int before = start - WIDTH + i;  // the column on the left that is this lane's
    const bool is_left = hop > 0 || before == pivot;
    const bool is_row = start + i < n, is_right = start + WIDTH + i < n;
    double on_left = 0.0, on_middle = 0.0, on_right = 0.0;
    for (int k = 0; k < EACH; ++k) {
        const int j = first + k;
        const int high = i > j ? i : j, low = i > j ? j : i;
        of_v[k] = v[j];
        const bool inside = start + j < n;
        left[k] = is_left && inside ? band[PITCH * before + start + j - before] : 0.0;
        middle[k] = is_row && inside ? band[PITCH * (start + low) + high - low] : 0.0;
        right[k] = is_right && inside ? band[PITCH * (start + j) + WIDTH + i - j] : 0.0;
        on_left += of_v[k] * left[k];
        on_middle += of_v[k] * middle[k];
        on_right += of_v[k] * right[k];
    }
    on_left = tau * over_parts(on_left);
    on_middle = tau * over_parts(on_middle);
    on_right = tau * over_parts(on_right);
    on_middle -= 0.5 * tau * over_rows(on_middle * own) * own;
    if (lane < WIDTH) w[i] = on_middle;
    __syncwarp();
    for (int k = 0; k < EACH; ++k) {
        const int j = first + k;
        if (start + j >= n) continue;
        if (is_left) {
            const double kept = before == pivot ? (j == 0 ? beside : 0.0)
                                                : left[k] - of_v[k] * on_left;
            band[PITCH * before + start + j - before] = kept;
        }
        if (is_row && i >= j)
            band[PITCH * (start + j) + i - j] = middle[k] - own * w[j] - on_middle * of_v[k];
        if (is_right)
            band[PITCH * (start + j) + WIDTH + i - j] = right[k] - on_right * of_v[k];
    }
    __syncwarp();
}

// bands: of each matrix PITCH * row; diagonals, besides: n of each, of the tridiagonal matrix.
// Shared memory has PITCH elements for each warp, and n * PITCH more where the band fits
// (`is_shared`); elsewhere it is overwritten where it is.
extern "C" __global__ void chase(
    double* bands, double* diagonals, double* besides, int n, int row, int slots, int is_shared
) {
    extern __shared__ double shared[];
    const int warp = threadIdx.x / LANES, warps = blockDim.x / LANES;
    const int lane = threadIdx.x % LANES;
    const long long block = blockIdx.x;
    double* const v = shared + PITCH * warp;
    double* band = bands + block * row * PITCH;
    if (is_shared) {
        double* const copy = shared + PITCH * warps;
        for (int k = threadIdx.x; k < n * PITCH; k += blockDim.x) copy[k] = band[k];
        band = copy;
    }
    __syncthreads();
    for (int step = 0; step < 3 * n - 8; ++step) {
        for (int slot = warp; slot < slots; slot += warps) {
            const int column = step / 3 - slot, hop = step % 3 + 3 * slot;
            const int start = column + 1 + hop * WIDTH;
            if (column >= 0 && column <= n - 3 && start < n - 1)
                hop_on(band, v, v + WIDTH, n, column, hop, start, lane);
        }
        __syncthreads();
    }
    for (int k = threadIdx.x; k < n; k += blockDim.x) {
        diagonals[block * n + k] = band[PITCH * k];
        besides[block * n + k] = k < n - 1 ? band[PITCH * k + 1] : 0.0;
    }
}
