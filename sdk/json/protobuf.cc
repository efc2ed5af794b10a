/* SPDX-License-Identifier: Apache-2.0 */
/* libprotobuf behind C functions. A library of its own, so that only who converts JSON carries C++. */
#include "engine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/type.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <google/protobuf/wire_format_lite.h>
#include <google/protobuf/wrappers.pb.h>

namespace
{

namespace pb = google::protobuf;
using status = pb::util::Status;

const char url_prefix[] = "type.googleapis.com";
const char any_name[] = "google.protobuf.Any";

/* Files that import each other in a chain; libprotobuf's own limit for nested messages is 100. */
const int imports_max = 200;
const int nesting_max = 100;
/* Set or not, of all messages within one, where each is held meanwhile: about 200 bytes each. */
const size_t fields_max = size_t{4} << 20;

/* Any text from outside as one line. */
std::string one_line(const std::string &text)
{
    std::string line;

    for (char c : text)
        line += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
    return line;
}

enum berth_code set_error(struct berth_error *err, enum berth_code code, const std::string &message)
{
    return berth_error_set(err, code, "%s", message.c_str());
}

/* What happens in the library stays in the library: exceptions, and what it would write to standard error. */
template <typename function> enum berth_code guarded(struct berth_error *err, function body)
{
    pb::LogSilencer quiet;

    try {
        return body();
    } catch (const std::bad_alloc &) {
        return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "no memory for a JSON conversion");
    } catch (const std::exception &reason) {
        return set_error(err, BERTH_INTERNAL, std::string("libprotobuf failed: ") + reason.what());
    } catch (...) {
        return berth_error_set(err, BERTH_INTERNAL, "libprotobuf failed");
    }
}

/* Keeps the first complaint of a file. */
class complaints : public pb::DescriptorPool::ErrorCollector
{
  public:
    std::string first;

    void AddError(const std::string &, const std::string &element, const pb::Message *, ErrorLocation,
                  const std::string &message) override
    {
        if (first.empty())
            first = element + ": " + message;
    }
};

/* Malloced, with a NUL behind it. */
char *copy(const std::string &text)
{
    char *bytes = static_cast<char *>(std::malloc(text.size() + 1));

    if (bytes == nullptr)
        throw std::bad_alloc();
    std::memcpy(bytes, text.c_str(), text.size() + 1);
    return bytes;
}

/* Malloced and bounded; has room for a NUL. */
class output : public pb::io::ZeroCopyOutputStream
{
  public:
    explicit output(size_t max) : max_(max)
    {
    }
    output(const output &) = delete;
    output &operator=(const output &) = delete;
    ~output() override
    {
        std::free(bytes_);
    }

    bool Next(void **data, int *size) override
    {
        if (used_ == capacity_ && !grow())
            return false;
        *data = bytes_ + used_;
        *size = static_cast<int>(capacity_ - used_);
        used_ = capacity_;
        return true;
    }
    void BackUp(int count) override
    {
        used_ -= static_cast<size_t>(count);
    }
    int64_t ByteCount() const override
    {
        return static_cast<int64_t>(used_);
    }

    /* The writers do not notice a refusal: it is asked for in the end. */
    enum berth_code check(struct berth_error *err) const
    {
        if (has_no_memory_)
            throw std::bad_alloc();
        if (is_over_)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED, "the result is larger than %zu bytes",
                                   max_);
        return BERTH_OK;
    }
    const char *bytes() const
    {
        return bytes_;
    }
    size_t length() const
    {
        return used_;
    }
    char *release(size_t *ret_length)
    {
        char *bytes = bytes_ != nullptr ? bytes_ : static_cast<char *>(std::malloc(1));

        if (bytes == nullptr)
            throw std::bad_alloc();
        bytes_ = nullptr;
        bytes[used_] = '\0';
        *ret_length = used_;
        return bytes;
    }

  private:
    bool grow()
    {
        size_t capacity = std::min(std::max(2 * capacity_, size_t{256}), max_);
        char *bytes;

        if (capacity == capacity_) {
            is_over_ = true;
            return false;
        }
        bytes = static_cast<char *>(std::realloc(bytes_, capacity + 1));
        if (bytes == nullptr) {
            has_no_memory_ = true;
            return false;
        }
        bytes_ = bytes;
        capacity_ = capacity;
        return true;
    }

    char *bytes_ = nullptr;
    size_t used_ = 0, capacity_ = 0, max_;
    bool is_over_ = false, has_no_memory_ = false;
};

std::string name_in_url(const std::string &url)
{
    return url.substr(url.rfind('/') + 1);
}

/*
 * Types by URL, whatever its prefix. Making a Type of a descriptor takes longer than most conversions, so
 * each is kept. The unknown type of an Any is taken for a BytesValue: `stranger` has its URL, and
 * wrap_strangers makes the payload one.
 */
class resolver : public pb::util::TypeResolver
{
  public:
    explicit resolver(const pb::DescriptorPool *pool)
        : pool_(pool), inner_(pb::util::NewTypeResolverForDescriptorPool(url_prefix, pool))
    {
    }

    /* The first unknown type of a conversion; empty: none. */
    std::string stranger;
    /* Types of fields that no file defines. Nothing may be made up for them. */
    std::set<std::string> missing;

    status ResolveMessageType(const std::string &url, pb::Type *type) override
    {
        std::string name = name_in_url(url);

        if (pool_->FindMessageTypeByName(name) == nullptr && missing.count(name) == 0) {
            if (stranger.empty())
                stranger = url.empty() ? "(empty)" : url;
            name = pb::BytesValue::descriptor()->full_name();
        }
        return resolve(&messages_, name, type, &pb::util::TypeResolver::ResolveMessageType);
    }
    status ResolveEnumType(const std::string &url, pb::Enum *type) override
    {
        return resolve(&enums_, name_in_url(url), type, &pb::util::TypeResolver::ResolveEnumType);
    }
    void forget()
    {
        messages_.clear();
        enums_.clear();
    }

  private:
    template <typename kind>
    status resolve(std::map<std::string, kind> *known, const std::string &name, kind *type,
                   status (pb::util::TypeResolver::*ask)(const std::string &, kind *))
    {
        auto found = known->find(name);

        if (found == known->end()) {
            kind made;
            status result = (inner_.get()->*ask)(std::string(url_prefix) + "/" + name, &made);

            if (!result.ok())
                return result;
            found = known->emplace(name, std::move(made)).first;
        }
        *type = found->second;
        return status();
    }

    const pb::DescriptorPool *pool_;
    std::unique_ptr<pb::util::TypeResolver> inner_;
    std::map<std::string, pb::Type> messages_;
    std::map<std::string, pb::Enum> enums_;
};

struct types : berth_json_types {
    pb::DescriptorPool pool;
    pb::DynamicMessageFactory factory;
    resolver resolve;
    std::vector<const pb::ServiceDescriptor *> services;

    types() : factory(&pool), resolve(&pool)
    {
        engine = &berth_json_protobuf;
        /* What is not at hand is not used by most calls. */
        pool.AllowUnknownDependencies();
    }
};

types *own(struct berth_json_types *face)
{
    return static_cast<types *>(face);
}

const types *own(const struct berth_json_types *face)
{
    return static_cast<const types *>(face);
}

/* Descriptors into the pool, imports first. */

using files = std::map<std::string, const pb::FileDescriptorProto *>;

void note_missing(types *self, const pb::Descriptor *message)
{
    for (int i = 0; i < message->field_count(); i++) {
        const pb::Descriptor *type = message->field(i)->message_type();

        if (type != nullptr && type->file()->is_placeholder())
            self->resolve.missing.insert(type->full_name());
    }
    for (int i = 0; i < message->nested_type_count(); i++)
        note_missing(self, message->nested_type(i));
}

void note_contents(types *self, const pb::FileDescriptor *file)
{
    for (int i = 0; i < file->service_count(); i++)
        self->services.push_back(file->service(i));
    for (int i = 0; i < file->message_type_count(); i++)
        note_missing(self, file->message_type(i));
}

enum berth_code build(types *self, files *waiting, const pb::FileDescriptorProto *file, int depth,
                      struct berth_error *err)
{
    const pb::FileDescriptor *built;
    complaints found;
    enum berth_code code;

    waiting->erase(file->name());
    if (self->pool.FindFileByName(file->name()) != nullptr)
        return BERTH_OK;
    if (depth > imports_max)
        return set_error(err, BERTH_INVALID_ARGUMENT,
                         one_line(file->name()) + ": imported by a chain of more than " +
                             std::to_string(imports_max) + " files");
    for (const std::string &import : file->dependency()) {
        auto next = waiting->find(import);

        if (next == waiting->end())
            continue;
        code = build(self, waiting, next->second, depth + 1, err);
        if (code != BERTH_OK)
            return code;
    }
    built = self->pool.BuildFileCollectingErrors(*file, &found);
    if (built == nullptr)
        return set_error(err, BERTH_INVALID_ARGUMENT, one_line(file->name() + ": " + found.first));
    note_contents(self, built);
    return BERTH_OK;
}

void add_well_known(types *self)
{
    static const char *const names[] = {"any",        "descriptor", "duration",  "empty",
                                        "field_mask", "struct",     "timestamp", "wrappers"};

    for (const char *name : names) {
        pb::FileDescriptorProto file;

        pb::DescriptorPool::generated_pool()
            ->FindFileByName(std::string("google/protobuf/") + name + ".proto")
            ->CopyTo(&file);
        self->pool.BuildFile(file);
    }
}

enum berth_code create(struct berth_json_types **ret_types, struct berth_error *err)
{
    return guarded(err, [&] {
        std::unique_ptr<types> self(new types);

        add_well_known(self.get());
        *ret_types = self.release();
        return BERTH_OK;
    });
}

void destroy(struct berth_json_types *face)
{
    delete own(face);
}

enum berth_code add(struct berth_json_types *face, const void *bytes, size_t length, struct berth_error *err)
{
    return guarded(err, [&] {
        types *self = own(face);
        pb::FileDescriptorSet set;
        enum berth_code code = BERTH_OK;
        files waiting;

        if (!set.ParsePartialFromArray(bytes, static_cast<int>(length)) || !set.IsInitialized())
            return berth_error_set(err, BERTH_INVALID_ARGUMENT, "not a FileDescriptorSet");
        for (const pb::FileDescriptorProto &file : set.file())
            waiting.emplace(file.name(), &file);
        /* A type that was unknown may be known from here on. */
        self->resolve.forget();
        for (int i = 0; i < set.file_size() && code == BERTH_OK; i++)
            if (waiting.count(set.file(i).name()) != 0)
                code = build(self, &waiting, waiting[set.file(i).name()], 0, err);
        return code;
    });
}

/* Messages from outside, before libprotobuf writes them: it takes cut ones for whole. */

/* Walks the bytes of a message. @return false: no message of this type, or nested too deeply. */
bool walk(const types *self, const pb::Descriptor *type, const void *bytes, size_t length, int depth,
          size_t *fields);

bool walk_field(const types *self, const pb::FieldDescriptor *field, pb::io::CodedInputStream *in, int depth,
                std::string *ret_text, size_t *fields)
{
    const void *bytes;
    uint32_t length;
    int rest;

    if (!in->ReadVarint32(&length))
        return false;
    if (length == 0)
        bytes = "", rest = 0;
    else if (!in->GetDirectBufferPointer(&bytes, &rest))
        return false;
    if (length > static_cast<uint32_t>(rest))
        return false;
    if (field != nullptr && field->type() == pb::FieldDescriptor::TYPE_MESSAGE) {
        if (!walk(self, field->message_type(), bytes, length, depth + 1, fields))
            return false;
    } else if (ret_text != nullptr) {
        ret_text->assign(static_cast<const char *>(bytes), length);
    }
    return in->Skip(static_cast<int>(length));
}

bool walk(const types *self, const pb::Descriptor *type, const void *bytes, size_t length, int depth,
          size_t *fields)
{
    pb::io::CodedInputStream in(static_cast<const uint8_t *>(bytes), static_cast<int>(length));
    bool is_any = type->full_name() == any_name;
    std::string texts[3];
    const pb::Descriptor *payload;

    if (depth > nesting_max)
        return false;
    *fields += static_cast<size_t>(type->field_count()) + 1;
    for (uint32_t tag; (tag = in.ReadTag()) != 0;) {
        int number = pb::internal::WireFormatLite::GetTagFieldNumber(tag);

        if (pb::internal::WireFormatLite::GetTagWireType(tag) !=
            pb::internal::WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
            if (!pb::internal::WireFormatLite::SkipField(&in, tag))
                return false;
        } else if (!walk_field(self, type->FindFieldByNumber(number), &in, depth,
                               is_any && number <= 2 ? &texts[number] : nullptr, fields)) {
            return false;
        }
    }
    if (!in.ConsumedEntireMessage())
        return false;
    payload = is_any ? self->pool.FindMessageTypeByName(name_in_url(texts[1])) : nullptr;
    return payload == nullptr || walk(self, payload, texts[2].data(), texts[2].size(), depth + 1, fields);
}

/* Payloads of types that are not here. */

/*
 * Walks a message down to each Any. One of an unknown type has its payload wrapped into a BytesValue, or
 * unwrapped again; one of a known type is entered. @return was the message changed?
 */
bool wrap_strangers(types *self, pb::Message *message, bool wraps, int depth);

bool wrap_payload(std::string *value, bool wraps)
{
    pb::BytesValue wrapped;

    if (wraps) {
        wrapped.set_value(*value);
        *value = wrapped.SerializeAsString();
    } else if (wrapped.ParsePartialFromString(*value)) {
        *value = wrapped.value();
    }
    return true;
}

bool wrap_any(types *self, pb::Message *any, bool wraps, int depth)
{
    const pb::Reflection *reflection = any->GetReflection();
    const pb::FieldDescriptor *url_field = any->GetDescriptor()->FindFieldByNumber(1);
    const pb::FieldDescriptor *value_field = any->GetDescriptor()->FindFieldByNumber(2);
    std::string url = reflection->GetString(*any, url_field);
    std::string value = reflection->GetString(*any, value_field);
    const pb::Descriptor *type = self->pool.FindMessageTypeByName(name_in_url(url));
    bool is_changed;

    if (url.empty())
        return false;
    if (type == nullptr) {
        is_changed = wrap_payload(&value, wraps);
    } else {
        std::unique_ptr<pb::Message> payload(self->factory.GetPrototype(type)->New());

        is_changed =
            payload->ParsePartialFromString(value) && wrap_strangers(self, payload.get(), wraps, depth + 1);
        if (is_changed)
            value = payload->SerializePartialAsString();
    }
    if (is_changed)
        reflection->SetString(any, value_field, value);
    return is_changed;
}

bool wrap_strangers(types *self, pb::Message *message, bool wraps, int depth)
{
    const pb::Reflection *reflection = message->GetReflection();
    std::vector<const pb::FieldDescriptor *> fields;
    bool is_changed = false;

    if (depth > nesting_max)
        return false;
    if (message->GetDescriptor()->full_name() == any_name)
        return wrap_any(self, message, wraps, depth);
    reflection->ListFields(*message, &fields);
    for (const pb::FieldDescriptor *field : fields) {
        if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE)
            continue;
        if (!field->is_repeated()) {
            is_changed |= wrap_strangers(self, reflection->MutableMessage(message, field), wraps, depth + 1);
            continue;
        }
        for (int i = 0; i < reflection->FieldSize(*message, field); i++)
            is_changed |=
                wrap_strangers(self, reflection->MutableRepeatedMessage(message, field, i), wraps, depth + 1);
    }
    return is_changed;
}

/* @return does `bytes` have the message with all payloads wrapped, or unwrapped? */
bool rewrite(types *self, const pb::Descriptor *type, bool wraps, const void *bytes, size_t length,
             std::string *ret_bytes)
{
    std::unique_ptr<pb::Message> message(self->factory.GetPrototype(type)->New());

    if (!message->ParsePartialFromArray(bytes, static_cast<int>(length)))
        return false;
    wrap_strangers(self, message.get(), wraps, 0);
    return message->SerializePartialToString(ret_bytes);
}

/* Conversions. */

const pb::Descriptor *find_type(const types *self, const char *name, struct berth_error *err)
{
    const pb::Descriptor *type = self->pool.FindMessageTypeByName(name);

    if (type == nullptr || type->file()->is_placeholder()) {
        set_error(err, BERTH_NOT_FOUND, "no message type \"" + one_line(name) + "\" here");
        return nullptr;
    }
    return type;
}

std::string type_url(const pb::Descriptor *type)
{
    return std::string(url_prefix) + "/" + type->full_name();
}

/*
 * Of text that is not JSON libprotobuf says what it misses, then about 20 bytes on either side of the place
 * on a line of their own, then a mark below the place. Whoever has a single line is told line and column, or
 * shown those bytes where they occur more than once.
 */
std::string reason_of(const std::string &message, const std::string &text)
{
    size_t first = message.find('\n'), last = message.rfind('\n');
    std::string around;
    size_t at;

    if (first == std::string::npos || last == first ||
        message.find_first_not_of(" ^", last + 1) != std::string::npos)
        return one_line(message.compare(0, 2, ": ") == 0 ? message.substr(2) : message);
    around = message.substr(first + 1, last - first - 1);
    if (around.empty())
        return message.substr(0, first);
    at = text.find(around);
    if (at == std::string::npos || text.find(around, at + 1) != std::string::npos)
        return one_line(message.substr(0, first) + " Near: " + around);
    at = std::min(at + message.size() - last - 2, text.size());
    return "line " +
           std::to_string(1 + std::count(text.begin(), text.begin() + static_cast<long>(at), '\n')) +
           ", column " + std::to_string(at - text.rfind('\n', at == 0 ? 0 : at - 1)) + ": " +
           one_line(message.substr(0, first));
}

enum berth_code refuse(types *self, const pb::Descriptor *type, const std::string &reason,
                       struct berth_error *err)
{
    std::string message = type->full_name() + ": " + reason;

    if (!self->resolve.stranger.empty())
        message +=
            " (unknown type " + one_line(self->resolve.stranger) + R"(: use {"@type": …, "value": base64}))";
    return set_error(err, BERTH_INVALID_ARGUMENT, message);
}

enum berth_code to_message(struct berth_json_types *face, const char *name, const char *text, size_t length,
                           const struct berth_json_options *options, void **ret_message, size_t *ret_length,
                           struct berth_error *err)
{
    return guarded(err, [&] {
        types *self = own(face);
        const pb::Descriptor *type = find_type(self, name, err);
        pb::io::ArrayInputStream in(text, static_cast<int>(length));
        pb::util::JsonParseOptions how;
        output out(options->max_bytes);
        enum berth_code code;
        std::string rewritten;
        size_t fields = 0;
        status result;

        if (type == nullptr)
            return BERTH_NOT_FOUND;
        how.ignore_unknown_fields = options->ignore_unknown;
        self->resolve.stranger.clear();
        result = pb::util::JsonToBinaryStream(&self->resolve, type_url(type), &in, &out, how);
        if (!result.ok())
            return refuse(self, type, reason_of(std::string(result.message()), std::string(text, length)),
                          err);
        code = out.check(err);
        if (code != BERTH_OK)
            return code;
        if (self->resolve.stranger.empty()) {
            *ret_message = out.release(ret_length);
            return BERTH_OK;
        }
        if (!walk(self, type, out.bytes(), out.length(), 0, &fields) || fields > fields_max ||
            !rewrite(self, type, false, out.bytes(), out.length(), &rewritten))
            return refuse(self, type, "too large, or nested too deeply", err);
        *ret_message = copy(rewritten);
        *ret_length = rewritten.size();
        return BERTH_OK;
    });
}

enum berth_code write_json(types *self, const pb::Descriptor *type, const void *message, size_t length,
                           const struct berth_json_options *options, output *out, struct berth_error *err)
{
    pb::io::ArrayInputStream in(message, static_cast<int>(length));
    pb::util::JsonPrintOptions how;
    status result;

    how.add_whitespace = options->is_pretty;
    how.always_print_primitive_fields = options->emit_defaults;
    how.preserve_proto_field_names = options->proto_names;
    self->resolve.stranger.clear();
    result = pb::util::BinaryToJsonStream(&self->resolve, type_url(type), &in, out, how);
    if (result.ok())
        return out->check(err);
    return set_error(err, BERTH_INVALID_ARGUMENT,
                     one_line(type->full_name() + ": " + std::string(result.message())));
}

enum berth_code from_message(struct berth_json_types *face, const char *name, const void *message,
                             size_t length, const struct berth_json_options *options, char **ret_text,
                             size_t *ret_length, struct berth_error *err)
{
    return guarded(err, [&] {
        types *self = own(face);
        const pb::Descriptor *type = find_type(self, name, err);
        output out(options->max_bytes), again(options->max_bytes);
        std::string rewritten;
        enum berth_code code;
        size_t fields = 0;

        if (type == nullptr)
            return BERTH_NOT_FOUND;
        if (!walk(self, type, message, length, 0, &fields))
            return set_error(err, BERTH_INVALID_ARGUMENT,
                             type->full_name() + ": these " + std::to_string(length) +
                                 " bytes are not such a message, or are nested too deeply");
        if (options->emit_defaults && fields > fields_max)
            return berth_error_set(err, BERTH_RESOURCE_EXHAUSTED,
                                   "%s: %zu fields are too many to be written with defaults", name, fields);
        code = write_json(self, type, message, length, options, &out, err);
        if (!self->resolve.stranger.empty() && fields <= fields_max &&
            rewrite(self, type, true, message, length, &rewritten)) {
            code = write_json(self, type, rewritten.data(), rewritten.size(), options, &again, err);
            if (code == BERTH_OK)
                *ret_text = again.release(ret_length);
            return code;
        }
        if (code == BERTH_OK)
            *ret_text = out.release(ret_length);
        return code;
    });
}

/* Descriptions. */

const char *service(const struct berth_json_types *face, size_t index)
{
    const types *self = own(face);

    return index < self->services.size() ? self->services[index]->full_name().c_str() : nullptr;
}

void describe_method(const pb::MethodDescriptor *method, struct berth_json_method *ret_method)
{
    ret_method->name = method->name().c_str();
    ret_method->input = method->input_type()->full_name().c_str();
    ret_method->output = method->output_type()->full_name().c_str();
    if (method->client_streaming())
        ret_method->kind = method->server_streaming() ? BERTH_METHOD_BIDI_STREAM : BERTH_METHOD_CLIENT_STREAM;
    else
        ret_method->kind = method->server_streaming() ? BERTH_METHOD_SERVER_STREAM : BERTH_METHOD_UNARY;
    ret_method->has_no_side_effects =
        method->options().idempotency_level() == pb::MethodOptions::NO_SIDE_EFFECTS;
}

const pb::ServiceDescriptor *find_service(const types *self, const char *name)
{
    return self->pool.FindServiceByName(name);
}

bool method_at(const struct berth_json_types *face, const char *service, size_t index,
               struct berth_json_method *ret_method)
{
    bool is_there = false;

    guarded(nullptr, [&] {
        const pb::ServiceDescriptor *found = find_service(own(face), service);

        is_there = found != nullptr && index < static_cast<size_t>(found->method_count());
        if (is_there)
            describe_method(found->method(static_cast<int>(index)), ret_method);
        return BERTH_OK;
    });
    return is_there;
}

enum berth_code method_find(const struct berth_json_types *face, const char *service, const char *method,
                            struct berth_json_method *ret_method, struct berth_error *err)
{
    return guarded(err, [&] {
        const pb::ServiceDescriptor *found = find_service(own(face), service);
        const pb::MethodDescriptor *there;

        if (found == nullptr)
            return set_error(err, BERTH_NOT_FOUND, "no service \"" + one_line(service) + "\" here");
        there = found->FindMethodByName(method);
        if (there == nullptr)
            return set_error(err, BERTH_NOT_FOUND,
                             "service " + found->full_name() + " has no method \"" + one_line(method) + "\"");
        describe_method(there, ret_method);
        return BERTH_OK;
    });
}

/* The text of a descriptor, or its protobuf form as JSON. */
template <typename form, typename descriptor> std::string text_of(const descriptor *what, bool as_json)
{
    pb::DebugStringOptions with_comments;
    pb::util::JsonPrintOptions pretty;
    std::string text;
    form message;

    with_comments.include_comments = true;
    if (!as_json)
        return what->DebugStringWithOptions(with_comments);
    what->CopyTo(&message);
    pretty.add_whitespace = true;
    if (!pb::util::MessageToJsonString(message, &text, pretty).ok())
        throw std::bad_alloc();
    return text;
}

bool find_text(const pb::DescriptorPool &pool, const std::string &name, bool as_json, std::string *ret_text)
{
    if (const pb::ServiceDescriptor *service = pool.FindServiceByName(name))
        *ret_text = text_of<pb::ServiceDescriptorProto>(service, as_json);
    else if (const pb::MethodDescriptor *method = pool.FindMethodByName(name))
        *ret_text = text_of<pb::MethodDescriptorProto>(method, as_json);
    else if (const pb::Descriptor *message = pool.FindMessageTypeByName(name))
        *ret_text = text_of<pb::DescriptorProto>(message, as_json);
    else if (const pb::EnumDescriptor *choice = pool.FindEnumTypeByName(name))
        *ret_text = text_of<pb::EnumDescriptorProto>(choice, as_json);
    else if (const pb::FieldDescriptor *field = pool.FindFieldByName(name))
        *ret_text = text_of<pb::FieldDescriptorProto>(field, as_json);
    else
        return false;
    return true;
}

enum berth_code describe(const struct berth_json_types *face, const char *name, bool as_json, char **ret_text,
                         struct berth_error *err)
{
    return guarded(err, [&] {
        std::string text;

        if (!find_text(own(face)->pool, name, as_json, &text))
            return set_error(err, BERTH_NOT_FOUND,
                             "no service, method, message, enum or field \"" + one_line(name) + "\" here");
        *ret_text = copy(text);
        return BERTH_OK;
    });
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct json_engine berth_json_protobuf = {
    create, destroy, add, to_message, from_message, service, method_at, method_find, describe,
};
