#include "internal.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#else
#include <fcntl.h>
#include <net/route.h>
#endif

#ifdef __linux__
// From linux/if_addr.h, which clashes with net/if.h in some C libraries.
enum { ADDRESS_OPTIMISTIC = 0x04, ADDRESS_DAD_FAILED = 0x08, ADDRESS_TENTATIVE = 0x40 };

/// Marks the IPv6 addresses that duplicate address detection has not approved; getifaddrs does not tell.
static void mark_tentative(struct cglue_interface *entries, int count) {
  FILE *table = fopen("/proc/net/if_inet6", "re");
  if (table == NULL) return;
  uint64_t high, low;
  unsigned index, flags;
  while (fscanf(table, "%16" SCNx64 "%16" SCNx64 " %x %*x %*x %x %*s", &high, &low, &index, &flags) == 4) {
    bool is_checked = (flags & ADDRESS_TENTATIVE) == 0 || (flags & ADDRESS_OPTIMISTIC) != 0;
    if (is_checked && (flags & ADDRESS_DAD_FAILED) == 0) continue;
    for (int i = 0; i < count; i++) {
      const struct cglue_address *address = &entries[i].address;
      if (entries[i].index == index && address->family == 6 && address->high == high && address->low == low)
        entries[i].is_tentative = true;
    }
  }
  fclose(table);
}
#endif

#ifdef __linux__
/// The last address of an IPv4 network; none in networks of one or two addresses.
static struct cglue_address last_of_network(const struct ifaddrs *item) {
  struct cglue_address result = cglue_address_decode(item->ifa_addr);
  struct cglue_address mask = cglue_address_decode(item->ifa_netmask);
  uint32_t hosts = ~(uint32_t)mask.low;
  if (result.family != 4 || mask.family != 4 || hosts <= 1) return (struct cglue_address){0};
  result.low |= hosts;
  return result;
}
#endif

int cglue_interfaces(struct cglue_interface **entries) {
  *entries = NULL;
  struct ifaddrs *list;
  if (getifaddrs(&list) < 0) return -errno;
  int capacity = 0;
  for (struct ifaddrs *item = list; item != NULL; item = item->ifa_next) capacity++;
  struct cglue_interface *result = calloc((size_t)capacity + 1, sizeof *result);
  int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  if (result == NULL || descriptor < 0) {
    int code = errno;
    free(result);
    if (descriptor >= 0) close(descriptor);
    freeifaddrs(list);
    return -code;
  }
  struct cglue_interface *entry = result;
  for (struct ifaddrs *item = list; item != NULL; item = item->ifa_next, entry++) {
    strncpy(entry->name, item->ifa_name, sizeof entry->name - 1);
    entry->index = if_nametoindex(item->ifa_name);
    entry->address = cglue_address_decode(item->ifa_addr);
    // On Linux the same place holds a point-to-point link's other end.
    if (item->ifa_flags & IFF_BROADCAST) {
#ifdef __linux__
      entry->broadcast = cglue_address_decode(item->ifa_broadaddr);
      // The address itself where the network was given none (`ip address add` without `broadcast`). The kernel then takes
      // the last address of the network for one all the same.
      if (entry->broadcast.low == entry->address.low) entry->broadcast = last_of_network(item);
#else
      entry->broadcast = cglue_address_decode(item->ifa_dstaddr);
#endif
    }
    entry->is_up = (item->ifa_flags & IFF_UP) && (item->ifa_flags & IFF_RUNNING);
    entry->is_loopback = (item->ifa_flags & IFF_LOOPBACK) != 0;
    entry->is_point_to_point = (item->ifa_flags & IFF_POINTOPOINT) != 0;
    entry->supports_multicast = (item->ifa_flags & IFF_MULTICAST) != 0;
#ifdef __linux__
    // The loopback interface does not say so, but passes multicast on.
    entry->supports_multicast = entry->supports_multicast || entry->is_loopback;
#endif
    struct ifreq request = {0};
    strncpy(request.ifr_name, item->ifa_name, sizeof request.ifr_name - 1);
    if (ioctl(descriptor, SIOCGIFMTU, &request) == 0) entry->mtu = request.ifr_mtu;
  }
  close(descriptor);
  freeifaddrs(list);
#ifdef __linux__
  mark_tentative(result, capacity);
#endif
  *entries = result;
  return capacity;
}

void cglue_interfaces_free(struct cglue_interface *entries) { free(entries); }

void cglue_interface_name(uint32_t index, char *name, size_t capacity) {
  _Static_assert(IF_NAMESIZE <= 32, "names of interfaces must fit");
  if (capacity < IF_NAMESIZE || if_indextoname(index, name) == NULL) name[0] = 0;
}

int cglue_default_source(uint8_t family, struct cglue_address *source) {
  int descriptor = cglue_socket_open(family);
  if (descriptor < 0) return descriptor;
  // Addresses reserved for documentation: no host, so that only a default route leads there. Connecting sends nothing.
  struct cglue_address target = {.family = family, .port = 9, .low = 0xC6336401}; // 198.51.100.1
  if (family == 6) {
    target.high = 0x20010DB800000000;
    target.low = 1; // 2001:db8::1
  }
  struct sockaddr_storage storage;
  unsigned length = cglue_address_encode(&target, &storage);
  int result = cglue_result(connect(descriptor, (struct sockaddr *)&storage, length));
  if (result == 0) result = cglue_socket_local_address(descriptor, source);
  close(descriptor);
  return result;
}

int cglue_changes_open(void) {
#ifdef __linux__
  int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (descriptor < 0) return -errno;
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
    int code = errno;
    close(descriptor);
    return -code;
  }
  return descriptor;
#else
  int descriptor = socket(PF_ROUTE, SOCK_RAW, AF_UNSPEC);
  if (descriptor < 0) return -errno;
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  return descriptor;
#endif
}

int cglue_changes_drain(int descriptor) {
  char scratch[8192];
  int found = 0;
  for (;;) {
    ssize_t bytes = recv(descriptor, scratch, sizeof scratch, MSG_DONTWAIT);
    // ENOBUFS: more changes than the queue could hold, which is a change too.
    if (bytes >= 0 || errno == ENOBUFS) found = 1;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) return found;
    else if (errno != EINTR) return -errno;
  }
}
