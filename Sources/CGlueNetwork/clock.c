#include "internal.h"

#include <stdio.h>
#include <time.h>

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec time = {0};
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t cglue_monotonic_nanoseconds(void) {
#ifdef __linux__
  return nanoseconds(CLOCK_BOOTTIME);
#else
  return nanoseconds(CLOCK_MONOTONIC); // counts sleep on Apple's systems
#endif
}

uint64_t cglue_wall_nanoseconds(void) { return nanoseconds(CLOCK_REALTIME); }

void cglue_error_text(int code, char *text, size_t capacity) {
  if (capacity == 0) return;
#if defined(__GLIBC__)
  char scratch[128];
  snprintf(text, capacity, "%s", strerror_r(code, scratch, sizeof scratch));
#else
  if (strerror_r(code, text, capacity) != 0) snprintf(text, capacity, "error %d", code);
#endif
}
