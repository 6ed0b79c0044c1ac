// Preloaded into a program, makes its host look otherwise than it is, where no namespace can: a wall clock that is off by
// SHIM_CLOCK_SECONDS, and a system that grants at most SHIM_RECEIVE_BUFFER bytes to receive into.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static long setting(const char *name) {
  const char *text = getenv(name);
  return text == NULL ? 0 : atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) time->tv_sec += setting("SHIM_CLOCK_SECONDS");
  return result;
}

int setsockopt(int descriptor, int level, int name, const void *value, socklen_t length) {
  static int (*real)(int, int, int, const void *, socklen_t);
  if (real == NULL) real = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
  int most = (int)setting("SHIM_RECEIVE_BUFFER");
  if (most > 0 && level == SOL_SOCKET && (name == SO_RCVBUF || name == SO_RCVBUFFORCE) && *(const int *)value > most)
    return real(descriptor, level, name, &most, sizeof most);
  return real(descriptor, level, name, value, length);
}
