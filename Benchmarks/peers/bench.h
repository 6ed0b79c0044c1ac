// What the clients of all peers share: arguments, clocks, the report, and a window for those whose broker drops what it cannot keep.
//
//     TOOL pub  SIZE SECONDS SUBSCRIBERS PORT     publishes as fast as it can, then one message that says so
//     TOOL sub  INDEX PORT                        counts until that message
//     TOOL ping SIZE SECONDS PORT                 one message under way at a time
//     TOOL pong PORT
//
// Each message begins with its number. Each process prints one JSON object at its end. With RATE in the environment `pub` publishes so
// many messages a second, evenly, each with its time behind the number; with it `sub` tells how long they took, both being on one machine.
// BENCH_HOST is the address of the broker, or of the publisher; loopback otherwise.
#pragma once
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define END_OF_RUN UINT64_MAX
/// Messages have at least a number.
#define SMALLEST 8
/// So much have those that tell their time.
#define SMALLEST_TIMED 16
/// So much may be under way where there is a window: enough for the largest messages, and too little for a broker to drop any.
#define WINDOW_BYTES (4 << 20)
#define WINDOW_MESSAGES 8192
/// Round trips that are not counted at the beginning, and most that are.
#define WARMUP 200
#define MAX_SAMPLES 1000000
#define MAX_SUBSCRIBERS 64
/// How long to wait for the last messages to arrive.
#define PATIENCE_NS 10000000000u

static inline void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void sleep_until(uint64_t time) {
  struct timespec t = {(time_t)(time / 1000000000u), (long)(time % 1000000000u)};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/// Processor time of this process so far, in seconds.
static inline double processor_seconds(void) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static inline const char *host(void) { return getenv("BENCH_HOST") ? getenv("BENCH_HOST") : "127.0.0.1"; }

/// Messages a second; 0: as many as possible.
static inline uint64_t paced_rate(void) { return getenv("RATE") ? strtoull(getenv("RATE"), NULL, 10) : 0; }

static inline uint64_t number_of(const void *message) {
  uint64_t number;
  memcpy(&number, message, sizeof number);
  return number;
}

// MARK: Samples

/// Nanoseconds.
static uint32_t *samples;
static size_t sample_count;

static inline void add_sample(uint64_t nanoseconds) {
  if (!samples) samples = malloc(MAX_SAMPLES * sizeof *samples);
  if (sample_count < MAX_SAMPLES) samples[sample_count++] = nanoseconds < UINT32_MAX ? (uint32_t)nanoseconds : UINT32_MAX;
}

static int compare_samples(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static inline void sort_samples(void) { qsort(samples, sample_count, sizeof *samples, compare_samples); }

/// Microseconds; -1 if there are none. The samples have to be sorted.
static inline double sample_at(size_t of_thousand) {
  return sample_count ? samples[(sample_count - 1) * of_thousand / 1000] / 1e3 : -1;
}

// MARK: Counting

typedef struct {
  uint64_t received, expected, gaps, bytes, first, last;
  double cpu;
  /// Whether messages tell their time.
  int is_timed;
} Tally;

/// Takes note of a message. Returns whether it was the one that ends the run.
static inline int count(Tally *tally, const void *message, size_t size) {
  if (size < SMALLEST) fail("count", "a message without a number");
  uint64_t number = number_of(message);
  if (number == END_OF_RUN) return 1;
  if (tally->received == 0) {
    tally->first = now_ns();
    tally->cpu = processor_seconds();
    tally->expected = number;
    tally->is_timed = paced_rate() > 0;
  }
  if (tally->is_timed && size >= SMALLEST_TIMED) add_sample(now_ns() - number_of((const char *)message + SMALLEST));
  if (number != tally->expected) tally->gaps++;
  tally->expected = number + 1;
  tally->received++;
  tally->bytes += size;
  // The clock is read now and then, so that it is not what is measured.
  if ((tally->received & 15) == 0 || size > 4096) tally->last = now_ns();
  return 0;
}

static inline void report_sub(Tally *tally) {
  double cpu = processor_seconds() - tally->cpu;
  sort_samples();
  printf("{\"received\":%llu,\"gaps\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpu\":%.6f,\"p50\":%.2f,\"p99\":%.2f}\n",
         (unsigned long long)tally->received, (unsigned long long)tally->gaps, (unsigned long long)tally->bytes,
         (double)(tally->last - tally->first) / 1e9, cpu, sample_at(500), sample_at(990));
  fflush(stdout);
}

static inline void report_pub(uint64_t published, double seconds, double cpu) {
  printf("{\"published\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", (unsigned long long)published, seconds, cpu);
  fflush(stdout);
}

// MARK: Publishing

/// How many messages each subscriber has told that it has.
static _Atomic uint64_t credits[MAX_SUBSCRIBERS];

/// The environment's WINDOW is for who is faster with fewer messages under way.
static inline uint64_t window_of(size_t size) {
  static uint64_t most;
  if (!most) most = getenv("WINDOW") ? strtoull(getenv("WINDOW"), NULL, 10) : WINDOW_MESSAGES;
  uint64_t fitting = WINDOW_BYTES / size;
  return fitting < 4 ? 4 : fitting > most ? most : fitting;
}

/// Whether a message of this number may go, as far as the slowest of the subscribers is.
static inline int is_open(uint64_t number, uint64_t window, int subscribers) {
  for (int i = 0; i < subscribers; i++)
    if (number >= atomic_load_explicit(&credits[i], memory_order_relaxed) + window) return 0;
  return 1;
}

/// Publishes for so many seconds by `send`; `wait` is called while the window is shut, nil where there is none.
static inline void publish_all(size_t size, double seconds, int subscribers, void (*send)(const void *, size_t),
                               void (*wait)(void)) {
  if (size < SMALLEST) fail("publish", "messages have at least 8 bytes");
  char *message = calloc(1, size);
  uint64_t window = window_of(size), number = 0;
  uint64_t interval = paced_rate() ? 1000000000u / paced_rate() : 0;
  double cpu = processor_seconds();
  uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9);
  while (now_ns() < end) {
    if (interval) sleep_until(start + number * interval);
    for (int i = 0; i < (interval ? 1 : 16); i++) {
      while (wait && !is_open(number, window, subscribers)) wait();
      memcpy(message, &number, sizeof number);
      if (interval && size >= SMALLEST_TIMED) {
        uint64_t now = now_ns();
        memcpy(message + SMALLEST, &now, sizeof now);
      }
      send(message, size);
      number++;
    }
  }
  double took = (double)(now_ns() - start) / 1e9, used = processor_seconds() - cpu;
  uint64_t last = END_OF_RUN;
  memcpy(message, &last, sizeof last);
  send(message, size);
  // Who leaves with something unread takes along what the broker has not read yet.
  uint64_t patience = now_ns() + PATIENCE_NS;
  while (wait && !is_open(number, 1, subscribers) && now_ns() < patience) wait();
  report_pub(number, took, used);
}

// MARK: Round trips

/// Measures round trips for so many seconds by `trip`.
static inline void ping_all(size_t size, double seconds, void (*trip)(const void *, size_t)) {
  char *message = calloc(1, size < SMALLEST ? SMALLEST : size);
  for (int i = 0; i < WARMUP; i++) trip(message, size);
  double cpu = processor_seconds();
  uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), now;
  while ((now = now_ns()) < end && sample_count < MAX_SAMPLES) {
    trip(message, size);
    add_sample(now_ns() - now);
  }
  double used = processor_seconds() - cpu;
  sort_samples();
  printf("{\"count\":%zu,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f,\"cpu\":%.3f}\n", sample_count,
         sample_at(500), sample_at(900), sample_at(990), sample_at(999), sample_at(1000), used * 1e6 / (double)sample_count);
  fflush(stdout);
}

// MARK: Arguments

static inline long argument(int argc, char **argv, int index, const char *name) {
  if (index >= argc) fail("missing argument", name);
  char *rest;
  long value = strtol(argv[index], &rest, 10);
  if (*rest || value < 0) fail("not a number", argv[index]);
  return value;
}

static inline double seconds_argument(int argc, char **argv, int index) {
  if (index >= argc) fail("missing argument", "SECONDS");
  return strtod(argv[index], NULL);
}
