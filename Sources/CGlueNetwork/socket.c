#include "internal.h"

#include <fcntl.h>
#include <netinet/udp.h>

#ifdef __linux__
#include <linux/filter.h>
#endif

#if defined(__linux__) && !defined(UDP_GRO)
#define UDP_GRO 104
#endif

int cglue_socket_open(uint8_t family) {
  int domain = family == 6 ? AF_INET6 : AF_INET;
#ifdef __linux__
  return cglue_result(socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
#else
  int descriptor = socket(domain, SOCK_DGRAM, 0);
  if (descriptor < 0) return -errno;
  if (fcntl(descriptor, F_SETFL, O_NONBLOCK) < 0 || fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0) {
    int code = errno;
    close(descriptor);
    return -code;
  }
  return descriptor;
#endif
}

void cglue_socket_close(int descriptor) { close(descriptor); }

int cglue_socket_bind(int descriptor, const struct cglue_address *address) {
  struct sockaddr_storage storage;
  unsigned length = cglue_address_encode(address, &storage);
  return cglue_result(bind(descriptor, (struct sockaddr *)&storage, length));
}

int cglue_socket_local_address(int descriptor, struct cglue_address *address) {
  struct sockaddr_storage storage;
  socklen_t length = sizeof storage;
  if (getsockname(descriptor, (struct sockaddr *)&storage, &length) < 0) return -errno;
  *address = cglue_address_decode((struct sockaddr *)&storage);
  return 0;
}

static int set(int descriptor, int level, int name, int value) {
  return cglue_result(setsockopt(descriptor, level, name, &value, sizeof value));
}

static int set_multicast_interface(int descriptor, bool is_v6, int index) {
  if (is_v6) return set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_IF, index);
  struct ip_mreqn request = {.imr_ifindex = index};
  return cglue_result(setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}

static int set_buffer(int descriptor, int name, int forced_name, int value) {
#ifdef __linux__
  // Beyond net.core.rmem_max, if we are privileged.
  if (set(descriptor, SOL_SOCKET, forced_name, value) == 0) return 0;
#else
  (void)forced_name;
#endif
  return set(descriptor, SOL_SOCKET, name, value);
}

static int set_dont_fragment(int descriptor, bool is_v6, int value) {
#if defined(__linux__)
  // PROBE, not DO: the path MTU that anybody's ICMP message claims must not limit us; the transport measures its own.
  if (is_v6)
    return set(descriptor, IPPROTO_IPV6, IPV6_MTU_DISCOVER, value ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT);
  return set(descriptor, IPPROTO_IP, IP_MTU_DISCOVER, value ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT);
#elif defined(IP_DONTFRAG) && defined(IPV6_DONTFRAG)
  return is_v6 ? set(descriptor, IPPROTO_IPV6, IPV6_DONTFRAG, value) : set(descriptor, IPPROTO_IP, IP_DONTFRAG, value);
#else
  return -ENOPROTOOPT;
#endif
}

int cglue_socket_set(int descriptor, uint8_t family, enum cglue_option option, int value) {
  bool is_v6 = family == 6;
  switch (option) {
  case CGLUE_REUSE_ADDRESS: return set(descriptor, SOL_SOCKET, SO_REUSEADDR, value);
  case CGLUE_REUSE_PORT: return set(descriptor, SOL_SOCKET, SO_REUSEPORT, value);
  case CGLUE_BROADCAST: return set(descriptor, SOL_SOCKET, SO_BROADCAST, value);
#ifdef __linux__
  case CGLUE_RECEIVE_BUFFER: return set_buffer(descriptor, SO_RCVBUF, SO_RCVBUFFORCE, value);
  case CGLUE_SEND_BUFFER: return set_buffer(descriptor, SO_SNDBUF, SO_SNDBUFFORCE, value);
#else
  case CGLUE_RECEIVE_BUFFER: return set_buffer(descriptor, SO_RCVBUF, 0, value);
  case CGLUE_SEND_BUFFER: return set_buffer(descriptor, SO_SNDBUF, 0, value);
#endif
  case CGLUE_MULTICAST_LOOP:
    if (is_v6) return set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, value);
    unsigned char loop = (unsigned char)value; // BSD takes one byte only
    return cglue_result(setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_LOOP, &loop, sizeof loop));
  case CGLUE_MULTICAST_TTL:
    if (is_v6) return set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, value);
    unsigned char ttl = (unsigned char)value;
    return cglue_result(setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof ttl));
  case CGLUE_MULTICAST_INTERFACE: return set_multicast_interface(descriptor, is_v6, value);
  case CGLUE_DONT_FRAGMENT: return set_dont_fragment(descriptor, is_v6, value);
  case CGLUE_RECEIVE_PACKET_INFO:
    return is_v6 ? set(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, value) : set(descriptor, IPPROTO_IP, IP_PKTINFO, value);
  case CGLUE_V6_ONLY: return is_v6 ? set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, value) : 0;
#ifdef __linux__
  case CGLUE_MULTICAST_JOINED_ONLY:
#ifdef IPV6_MULTICAST_ALL
    if (is_v6) return set(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_ALL, !value);
#endif
    return is_v6 ? -ENOPROTOOPT : set(descriptor, IPPROTO_IP, IP_MULTICAST_ALL, !value);
  case CGLUE_RECEIVE_OFFLOAD: return set(descriptor, IPPROTO_UDP, UDP_GRO, value);
  case CGLUE_RECEIVE_TIMESTAMP: return set(descriptor, SOL_SOCKET, SO_TIMESTAMPNS, value);
  case CGLUE_RECEIVE_DROP_COUNT: return set(descriptor, SOL_SOCKET, SO_RXQ_OVFL, value);
#else
  case CGLUE_MULTICAST_JOINED_ONLY: return 0; // BSD does so by itself
  case CGLUE_RECEIVE_OFFLOAD: return -ENOPROTOOPT;
  case CGLUE_RECEIVE_TIMESTAMP: return set(descriptor, SOL_SOCKET, SO_TIMESTAMP, value);
  case CGLUE_RECEIVE_DROP_COUNT: return -ENOPROTOOPT;
#endif
  }
  return -ENOPROTOOPT;
}

int cglue_socket_buffer_bytes(int descriptor, bool receive) {
  int value = 0;
  socklen_t length = sizeof value;
  if (getsockopt(descriptor, SOL_SOCKET, receive ? SO_RCVBUF : SO_SNDBUF, &value, &length) < 0) return -errno;
  return value;
}

int cglue_socket_ignore(int descriptor, uint8_t mask, uint8_t first, uint32_t next) {
#ifdef __linux__
  enum { payload = 8 }; // behind the UDP header
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, payload),         BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 3),    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, payload + 1),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, next, 0, 1),     BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
  };
  struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
  return cglue_result(setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program));
#else
  return 0;
#endif
}

int cglue_socket_membership(int descriptor, const struct cglue_address *group, uint32_t interface_index, bool join) {
  struct sockaddr_storage storage;
  cglue_address_encode(group, &storage);
  if (group->family == 6) {
    struct ipv6_mreq request = {.ipv6mr_interface = interface_index};
    request.ipv6mr_multiaddr = ((struct sockaddr_in6 *)&storage)->sin6_addr;
    int name = join ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP;
    return cglue_result(setsockopt(descriptor, IPPROTO_IPV6, name, &request, sizeof request));
  }
  struct ip_mreqn request = {.imr_ifindex = (int)interface_index};
  request.imr_multiaddr = ((struct sockaddr_in *)&storage)->sin_addr;
  int name = join ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP;
  return cglue_result(setsockopt(descriptor, IPPROTO_IP, name, &request, sizeof request));
}
