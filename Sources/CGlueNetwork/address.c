#include "internal.h"

unsigned cglue_address_encode(const struct cglue_address *address, struct sockaddr_storage *storage) {
  if (address->family == 6) {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
    memset(v6, 0, sizeof *v6);
#ifdef __APPLE__
    v6->sin6_len = sizeof *v6;
#endif
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address->port);
    v6->sin6_scope_id = address->scope;
    for (int i = 0; i < 8; i++) {
      v6->sin6_addr.s6_addr[i] = (uint8_t)(address->high >> (56 - 8 * i));
      v6->sin6_addr.s6_addr[8 + i] = (uint8_t)(address->low >> (56 - 8 * i));
    }
    return sizeof *v6;
  }
  struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
  memset(v4, 0, sizeof *v4);
#ifdef __APPLE__
  v4->sin_len = sizeof *v4;
#endif
  v4->sin_family = AF_INET;
  v4->sin_port = htons(address->port);
  v4->sin_addr.s_addr = htonl((uint32_t)address->low);
  return sizeof *v4;
}

struct cglue_address cglue_address_decode(const struct sockaddr *address) {
  struct cglue_address result = {0};
  if (address == NULL) return result;
  if (address->sa_family == AF_INET) {
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    result.family = 4;
    result.low = ntohl(v4->sin_addr.s_addr);
    result.port = ntohs(v4->sin_port);
  } else if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    result.family = 6;
    for (int i = 0; i < 8; i++) {
      result.high = result.high << 8 | v6->sin6_addr.s6_addr[i];
      result.low = result.low << 8 | v6->sin6_addr.s6_addr[8 + i];
    }
    result.port = ntohs(v6->sin6_port);
    result.scope = v6->sin6_scope_id;
#ifdef __APPLE__
    // Darwin's getifaddrs keeps the scope inside the address (KAME's form).
    if (v6->sin6_addr.s6_addr[0] == 0xfe && (v6->sin6_addr.s6_addr[1] & 0xc0) == 0x80) {
      uint32_t embedded = (uint32_t)(result.high >> 32) & 0xffff;
      if (result.scope == 0) result.scope = embedded;
      result.high &= ~((uint64_t)0xffff << 32);
    }
#endif
  }
  return result;
}
