/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two readers behind config_yaml_read. Only this folder and tests that compare them include it.
 */
#ifndef CONFIG_TREE_READERS_H
#define CONFIG_TREE_READERS_H

#include "tree.h"

/**
 * Reads the YAML that most manifests are written in: block maps and lists; scalars on one line, plain or
 * quoted; lists and maps in brackets on one line; no tabs. Several times as fast as libyaml.
 *
 * @param text  without a byte order mark.
 * @return the tree that config_yaml_read_whole returns, with the same places; NULL if the text has anything
 * else in it, is wrong, or exceeds the limits.
 */
struct config_tree *config_yaml_read_plain(const char *name, const char *text, size_t length,
                                           const struct config_limits *limits);

/** config_yaml_read by libyaml alone. */
struct config_tree *config_yaml_read_whole(const char *name, const char *text, size_t length,
                                           const struct config_limits *limits,
                                           struct config_diagnostics *diagnostics);

#endif
