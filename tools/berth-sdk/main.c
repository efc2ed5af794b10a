/* SPDX-License-Identifier: Apache-2.0 */
/* berth-sdk: works on a plugin's sources and built modules. Loads no module. */
#include <stdint.h>

#include "command.h"

static const struct cli_option common_options[] = {{0}};

static const struct cli_option new_options[] = {
    {"dir", 'd', "DIR", "directory to create; must be empty or not exist yet (default: NAME)", 0},
    {"type", 't', "TYPE", "contract the plugin fulfils (default: io.containerd.grpc.v1)", 0},
    {"service", 's', "PACKAGE.SERVICE", "service to export, such as harbour.v1.Ships (default: NAME.Greeter)",
     0},
    {"template", 0, "DIR", "use another template than the installed one", 0},
    {0},
};

static const struct cli_option generate_options[] = {
    {"output", 'o', "DIR", "write DIR/MODULE-plugin.h and DIR/MODULE-plugin.c (default: .)", 0},
    {"header", 0, "FILE", "write the header to FILE; needs --source", 0},
    {"source", 0, "FILE", "write the source to FILE; includes the header by its last name", 0},
    {0},
};

static const struct cli_option check_options[] = {
    {"json", 0, NULL, "print a JSON array: path, module, plugins and findings of each file", 0},
    {0},
};

static const struct cli_option sign_options[] = {
    {"key", 'k', "FILE", "secret key to sign with", 0},
    {"password-file", 0, "FILE", "read the key's password from the first line of FILE; -: standard input", 0},
    {"comment", 'c', "TEXT", "trusted comment (default: module and version of the manifest)", 0},
    {0},
};

static const struct cli_option verify_options[] = {
    {"key", 'k', "FILE", "public key to trust; may be repeated", 0},
    {"trusted", 0, "DIR", "trust the public keys DIR/*.pub; may be repeated", 0},
    {"json", 0, NULL, "print a JSON array: path, signer and verdict of each file", 0},
    {0},
};

static const struct cli_option keygen_options[] = {
    {"no-password", 0, NULL, "do not encrypt the secret key", 'p'},
    {"password-file", 0, "FILE", "read the password from the first line of FILE; -: standard input", 'p'},
    {0},
};

static const struct cli_command commands[] = {
    {"new", "NAME", "create the folder of a plugin that builds and tests itself",
     "Creates the folder of a plugin: plugin.yaml, a .proto with a unary and a streaming method,\n"
     "source with typed handlers, test, client, meson.build, README. It builds against the\n"
     "installed SDK and passes its own test.\n"
     "NAME is the plugin's id: lower-case letters, digits and single dashes.\n",
     new_options, 1, 1, command_new},
    {"generate", "PLUGIN.YAML", "write a module's header and source from its plugin.yaml",
     "Writes the C header with the typed settings and the prototypes of what you define, and the\n"
     "C source with the manifest's note and the module's tables. Both compile as C17 and C++17.\n"
     "The same input gives the same bytes.\n",
     generate_options, 1, 1, command_generate},
    {"check", "FILE.so...", "report what would make a built module fail on a host",
     "Reports everything that would make a built module fail on a host, or that a host should\n"
     "not be asked to load. No code of the file is run.\n"
     "\n"
     "Errors:    manifest and its note; contract and libuv it was built for; a stale build;\n"
     "           missing libraries, and libraries from a folder that is not trusted; symbols that\n"
     "           are undefined, or that the host's own libraries would provide instead;\n"
     "           executable stack; segments that are writable and executable; text relocations\n"
     "Warnings:  more than one exported symbol; constructors (other than the compiler's own, one\n"
     "           per file); RPATH and RUNPATH; no -z now, no RELRO; static TLS; a file or folder\n"
     "           that others may write to, which a host refuses to load from; a library that\n"
     "           another file of the same name would replace\n",
     check_options, 1, SIZE_MAX, command_check},
    {"keygen", "NAME", "create a key pair to sign modules with",
     "Writes NAME.key, the secret key, and NAME.pub, the public key, in minisign's format; neither\n"
     "may exist. Asks for a password to encrypt the secret key with.\n",
     keygen_options, 1, 1, command_keygen},
    {"sign", "FILE.so...", "sign built modules",
     "Writes FILE.so.minisig beside each file: a signature in minisign's format, whose trusted\n"
     "comment names the manifest's module and version. A host that requires signatures loads the\n"
     "module if it has the public key. Strip a module before you sign it, not afterwards.\n",
     sign_options, 1, SIZE_MAX, command_sign},
    {"verify", "FILE.so...", "verify the signatures of modules",
     "Prints who signed each file, or why a host with these keys would not load it. Without\n"
     "--key and --trusted, uses the keys in " BERTH_SYSCONF_DIR "/berth/trusted.\n",
     verify_options, 1, SIZE_MAX, command_verify},
    {0},
};

static const struct cli_program program = {
    .name = "berth-sdk",
    .version = BERTH_VERSION,
    .summary = "The plugin author's tool: works on sources and built modules, and runs no module's code.",
    .exit_status =
        "Exit status: 0 success, 1 the manifest, module or signature is wrong or a file cannot be written,\n"
        "2 wrong usage.\n",
    .options = common_options,
    .commands = commands,
};

static int start(const struct cli_line *line)
{
    const struct command_options options = {.line = line};

    return line->command->run(&options);
}

int main(int argc, char **argv)
{
    return cli_main(&program, argc, argv, start);
}
