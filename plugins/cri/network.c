/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the address ranges of pods and keeps them in the store, so that a restart does not lose them. */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/answer.h>

#define BUCKET "cri/pod-cidr"

struct change {
    struct berth_store_update update;
    struct network *network;
    struct berth_answer *answer;
    size_t length;
    char ranges[];
};

enum berth_code network_init(struct network *network, const struct berth_host *host, struct berth_error *err)
{
    struct berth_ref store;
    enum berth_code code = berth_get_single(host, BERTH_STORE_TYPE, &store, err);

    if (code != BERTH_OK)
        return code;
    *network = (struct network){.host = host, .store = store.interface, .store_instance = store.instance};
    if (gethostname(network->key, sizeof(network->key)) != 0)
        return berth_error_set(err, BERTH_FAILED_PRECONDITION, "cannot read the host name: %s",
                               strerror(errno));
    if (network->key[0] == '\0')
        return berth_error_set(err, BERTH_FAILED_PRECONDITION,
                               "this machine has no host name; set one (hostnamectl hostname NAME)");
    return BERTH_OK;
}

bool network_close(struct network *network, void (*on_idle)(struct network *network))
{
    network->on_idle = on_idle;
    return network->pending == 0;
}

/* "16": up to three digits, none of them a leading zero. */
static bool is_prefix(const char *digits, size_t length, unsigned long max)
{
    if (length == 0 || length > 3 || strspn(digits, "0123456789") < length)
        return false;
    if (digits[0] == '0' && length > 1)
        return false;
    return strtoul(digits, NULL, 10) <= max;
}

static bool is_range(const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);
    char address[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    size_t size = slash == NULL ? 0 : (size_t)(slash - text);

    if (size == 0 || size >= sizeof(address))
        return false;
    memcpy(address, text, size);
    address[size] = '\0';
    if (inet_pton(AF_INET, address, &parsed) == 1)
        return is_prefix(slash + 1, length - size - 1, 32);
    return inet_pton(AF_INET6, address, &parsed) == 1 && is_prefix(slash + 1, length - size - 1, 128);
}

/* Copies the ranges without surrounding spaces. @return the length; 0 with a message. */
static size_t read_ranges(const char *text, char *ret_ranges, struct berth_error *err)
{
    size_t used = 0;

    while (true) {
        size_t length;

        text += strspn(text, " \t");
        length = strcspn(text, ",");
        while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
            length--;
        if (!is_range(text, length)) {
            berth_error_set(err, BERTH_INVALID_ARGUMENT,
                            "pod_cidr: \"%.*s\" is not an address range (such as 10.244.0.0/16)",
                            (int)(length < 100 ? length : 100), text);
            return 0;
        }
        memcpy(ret_ranges + used, text, length);
        used += length;
        text += strcspn(text, ",");
        if (*text == '\0')
            return used;
        ret_ranges[used++] = ',';
        text++;
    }
}

static enum berth_code put(struct berth_store_update *update, struct berth_store_txn *txn,
                           struct berth_error *err)
{
    const struct change *change = (const struct change *)update;
    const struct network *network = change->network;

    return network->store->put(txn, BUCKET, berth_store_text(network->key),
                               (struct berth_store_bytes){change->ranges, change->length}, err);
}

static void on_done(struct berth_store_update *update, enum berth_code code, const char *message)
{
    struct change *change = (struct change *)update;
    struct network *network = change->network;

    if (code == BERTH_OK)
        berth_log(network->host, BERTH_LOG_INFO, "pods of this node get addresses from %.*s",
                  (int)change->length, change->ranges);
    berth_answer_finish(change->answer, code, message);
    free(change);
    network->pending--;
    if (network->pending == 0 && network->on_idle != NULL)
        network->on_idle(network);
}

void network_set(struct network *network, struct berth_call *call, const char *ranges)
{
    size_t length = strlen(ranges);
    struct berth_error err;
    struct change *change;

    if (length > NETWORK_MAX) {
        berth_error_set(&err, BERTH_INVALID_ARGUMENT, "pod_cidr has %zu bytes (limit: %d)", length,
                        NETWORK_MAX);
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, err.message);
        return;
    }
    change = malloc(sizeof(*change) + length + 1);
    if (change == NULL) {
        berth_call_finish(call, BERTH_RESOURCE_EXHAUSTED, "no memory for the address ranges of pods");
        return;
    }
    *change = (struct change){.update = {.change = put, .done = on_done}, .network = network};
    change->length = read_ranges(ranges, change->ranges, &err);
    if (change->length == 0) {
        berth_call_finish(call, BERTH_INVALID_ARGUMENT, err.message);
        free(change);
        return;
    }
    change->answer = berth_answer_later(call);
    if (change->answer == NULL) {
        free(change);
        return;
    }
    network->pending++;
    network->store->update(network->store_instance, &change->update);
}

size_t network_get(const struct network *network, char ret_ranges[NETWORK_MAX + 1])
{
    struct berth_store_bytes value = {0};
    struct berth_store_txn *txn;
    struct berth_error err;
    enum berth_code code = network->store->begin(network->store_instance, &txn, &err);

    if (code == BERTH_OK) {
        code = network->store->get(txn, BUCKET, berth_store_text(network->key), &value, &err);
        if (code == BERTH_OK && value.length <= NETWORK_MAX)
            memcpy(ret_ranges, value.data, value.length);
        else
            value.length = 0;
        network->store->end(txn);
    }
    if (code != BERTH_OK && code != BERTH_NOT_FOUND)
        berth_log(network->host, BERTH_LOG_WARN, "cannot read the address ranges of pods: %s", err.message);
    ret_ranges[value.length] = '\0';
    return value.length;
}
