#include "internal.h"

#include <time.h>

#ifdef __linux__
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

int cglue_poller_open(int *wake_descriptor) {
  int poller = epoll_create1(EPOLL_CLOEXEC);
  if (poller < 0) return -errno;
  int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  // Edge-triggered: every write is one event, and nobody has to read the counter back to zero.
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = CGLUE_POLLER_SLOTS};
  if (wake < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, wake, &event) < 0) {
    int code = errno;
    if (wake >= 0) close(wake);
    close(poller);
    return -code;
  }
  *wake_descriptor = wake;
  return poller;
}

int cglue_poller_watch(int poller, int descriptor, unsigned slot, bool writable, bool is_new) {
  struct epoll_event event = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.u64 = slot};
  return cglue_result(epoll_ctl(poller, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event));
}

int cglue_poller_forget(int poller, int descriptor) {
  return cglue_result(epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, NULL));
}

int cglue_poller_wake(int poller, int wake_descriptor) {
  (void)poller;
  uint64_t one = 1;
  return write(wake_descriptor, &one, sizeof one) < 0 ? -errno : 0;
}

static int wait_for_events(int poller, struct epoll_event *events, int capacity, uint64_t timeout) {
  if (timeout == UINT64_MAX) return epoll_wait(poller, events, capacity, -1);
#ifdef SYS_epoll_pwait2
  static atomic_bool is_missing; // before Linux 5.11
  if (!atomic_load_explicit(&is_missing, memory_order_relaxed)) {
    struct { int64_t seconds, nanoseconds; } limit = {
        (int64_t)(timeout / 1000000000u), (int64_t)(timeout % 1000000000u)};
    int result = (int)syscall(SYS_epoll_pwait2, poller, events, capacity, &limit, NULL, 0);
    if (result >= 0 || errno != ENOSYS) return result;
    atomic_store_explicit(&is_missing, true, memory_order_relaxed);
  }
#endif
  // Rounded up: waking early would only make the caller wait again.
  uint64_t milliseconds = timeout / 1000000u + (timeout % 1000000u != 0);
  return epoll_wait(poller, events, capacity, milliseconds > INT32_MAX ? INT32_MAX : (int)milliseconds);
}

int cglue_poller_wait(int poller, uint64_t timeout, struct cglue_ready *ready) {
  *ready = (struct cglue_ready){0};
  struct epoll_event events[CGLUE_POLLER_SLOTS + 1];
  int count = wait_for_events(poller, events, CGLUE_POLLER_SLOTS + 1, timeout);
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    uint64_t slot = events[i].data.u64;
    if (slot >= CGLUE_POLLER_SLOTS) {
      ready->is_woken = true;
      continue;
    }
    // An error on the socket is found, and cleared, by receiving.
    if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) ready->readable |= (uint64_t)1 << slot;
    if (events[i].events & EPOLLOUT) ready->writable |= (uint64_t)1 << slot;
  }
  return 0;
}

#else
#include <fcntl.h>
#include <sys/event.h>

int cglue_poller_open(int *wake_descriptor) {
  *wake_descriptor = -1;
  int poller = kqueue();
  if (poller < 0) return -errno;
  fcntl(poller, F_SETFD, FD_CLOEXEC);
  struct kevent change;
  EV_SET(&change, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
  if (kevent(poller, &change, 1, NULL, 0, NULL) < 0) {
    int code = errno;
    close(poller);
    return -code;
  }
  return poller;
}

int cglue_poller_watch(int poller, int descriptor, unsigned slot, bool writable, bool is_new) {
  struct kevent change;
  if (is_new) {
    EV_SET(&change, descriptor, EVFILT_READ, EV_ADD, 0, 0, (void *)(uintptr_t)slot);
    if (kevent(poller, &change, 1, NULL, 0, NULL) < 0) return -errno;
  }
  EV_SET(&change, descriptor, EVFILT_WRITE, writable ? EV_ADD : EV_DELETE, 0, 0, (void *)(uintptr_t)slot);
  if (kevent(poller, &change, 1, NULL, 0, NULL) < 0 && !(errno == ENOENT && !writable)) return -errno;
  return 0;
}

int cglue_poller_forget(int poller, int descriptor) {
  struct kevent change;
  EV_SET(&change, descriptor, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
  (void)kevent(poller, &change, 1, NULL, 0, NULL);
  EV_SET(&change, descriptor, EVFILT_READ, EV_DELETE, 0, 0, NULL);
  return cglue_result(kevent(poller, &change, 1, NULL, 0, NULL));
}

int cglue_poller_wake(int poller, int wake_descriptor) {
  (void)wake_descriptor;
  struct kevent change;
  EV_SET(&change, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
  return cglue_result(kevent(poller, &change, 1, NULL, 0, NULL));
}

int cglue_poller_wait(int poller, uint64_t timeout, struct cglue_ready *ready) {
  *ready = (struct cglue_ready){0};
  struct kevent events[2 * CGLUE_POLLER_SLOTS + 1];
  struct timespec limit = {(time_t)(timeout / 1000000000u), (long)(timeout % 1000000000u)};
  int count = kevent(poller, NULL, 0, events, 2 * CGLUE_POLLER_SLOTS + 1, timeout == UINT64_MAX ? NULL : &limit);
  if (count < 0) return errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    uint64_t bit = (uint64_t)1 << ((uintptr_t)events[i].udata % CGLUE_POLLER_SLOTS);
    if (events[i].filter == EVFILT_USER) ready->is_woken = true;
    if (events[i].filter == EVFILT_READ) ready->readable |= bit;
    if (events[i].filter == EVFILT_WRITE) ready->writable |= bit;
  }
  return 0;
}
#endif
