// What chase.cu uses of CUDA, on a CPU: each thread of a block is a thread of the host, and blocks
// run one after the other.

#include <pthread.h>

#include <cmath>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__

struct Index {
    int x;
};

static const int THREADS_OF_WARP = 32;
static thread_local Index threadIdx;
static Index blockDim, blockIdx;
static pthread_barrier_t of_block;
static std::vector<pthread_barrier_t> of_warps;
static std::vector<double> exchanged;
using std::sqrt;

static void __syncthreads() { pthread_barrier_wait(&of_block); }

static void __syncwarp() { pthread_barrier_wait(&of_warps[threadIdx.x / THREADS_OF_WARP]); }

static double __shfl_sync(unsigned, double value, int lane) {
    const int first = threadIdx.x / THREADS_OF_WARP * THREADS_OF_WARP;
    exchanged[threadIdx.x] = value;
    __syncwarp();
    const double found = exchanged[first + lane];
    __syncwarp();
    return found;
}

static double __shfl_xor_sync(unsigned mask, double value, int apart) {
    return __shfl_sync(mask, value, (threadIdx.x % THREADS_OF_WARP) ^ apart);
}

template <typename Body>
static void run_blocks(int blocks, int threads, Body body) {
    blockDim.x = threads;
    exchanged.resize(threads);
    of_warps.resize(threads / THREADS_OF_WARP);
    pthread_barrier_init(&of_block, nullptr, threads);
    for (auto& barrier : of_warps) pthread_barrier_init(&barrier, nullptr, THREADS_OF_WARP);
    for (int block = 0; block < blocks; ++block) {
        std::vector<std::thread> all;
        blockIdx.x = block;
        for (int thread = 0; thread < threads; ++thread)
            all.emplace_back([=] {
                threadIdx.x = thread;
                body();
            });
        for (auto& thread : all) thread.join();
    }
}
