// Included first by every file here: asks the system's headers for everything they have.
#pragma once
#ifdef __linux__
#define _GNU_SOURCE
#endif
#ifdef __APPLE__
#define __APPLE_USE_RFC_3542
#define _DARWIN_C_SOURCE
#endif

#include "include/CGlueNetwork.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/// The result of a system call, or its negative errno.
static inline int cglue_result(int result) { return result < 0 ? -errno : result; }
