// The part of a compiled model that is the same for every design: one table of C
// functions around a Verilated class. `ports.h`, written per design, brings the class
// `Vmodel`, the structures Inputs and Outputs, and how they reach the ports.
#include "ports.h"
#include "verilated.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <string>

#if HALLUX_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif HALLUX_TRACE_VCD
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif
#if HALLUX_SAVABLE
#include "verilated_save.h"
#endif

namespace {

// Bits of what a call returns; the same as in library.rs.
enum : uint32_t { FINISHED = 1, STOPPED = 2, FATAL = 4, PRINTED = 8, FAILED = 16 };

// Leaves a model's evaluation where Verilator would call abort().
struct Stop {};

struct Model {
    VerilatedContext* context = nullptr;
    Vmodel* top = nullptr;
    uint64_t id = 0;            // never reused, unlike the address
    uint64_t dumped = 0;        // time of the last dump plus 1, ps
    uint32_t status = 0;
    std::string printed;        // text of $display and of failed assertions
    std::string file;           // where the model stopped
    int line = 0;
    std::string text;           // what $fatal or Verilator itself said
#if HALLUX_TRACE
    Trace* trace = nullptr;
#endif
};

// Verilator keeps the current context per thread; models move between threads.
thread_local Model* current = nullptr;
thread_local uint64_t current_id = 0;

inline void enter(Model* model) {
    if (VL_UNLIKELY(current_id != model->id)) {
        current = model;
        current_id = model->id;
        Verilated::threadContextp(model->context);
    }
}

void leave() {
    current = nullptr;
    current_id = 0;
    Verilated::threadContextp(nullptr);
    Verilated::lastContextp(nullptr);
}

void remember_place(const char* file, int line) {
    current->file = file ? file : "";
    current->line = line;
}

void dump(Model* model, uint64_t time_ps) {
#if HALLUX_TRACE
    if (VL_UNLIKELY(model->trace)) {
        if (time_ps < model->dumped) time_ps = model->dumped;
        model->dumped = time_ps + 1;
        model->trace->dump(time_ps);
    }
#endif
}

inline uint32_t outcome(Model* model) {
    return model->status | (model->printed.empty() ? 0 : PRINTED);
}

Model* model_new(uint64_t id, int32_t seed) {
    Model* model = new Model;
    model->id = id;
    model->context = new VerilatedContext;
    model->context->threads(1);  // else a pool of worker threads starts
    enter(model);
    model->context->randReset(2);
    model->context->randSeed(seed);
#if HALLUX_TRACE
    model->context->traceEverOn(true);
#endif
    try {
        model->top = new Vmodel(model->context, "TOP");
    } catch (Stop&) {
        delete model->context;
        delete model;
        leave();
        return nullptr;
    }
    return model;
}

#if HALLUX_TRACE
void close_trace(Model* model) {
    if (model->trace) {
        model->trace->close();
        delete model->trace;
        model->trace = nullptr;
    }
}
#endif

void model_free(Model* model) {
    enter(model);
    try {
        model->top->final();
#if HALLUX_TRACE
        close_trace(model);
#endif
    } catch (Stop&) {
    }
    delete model->top;
    delete model->context;
    delete model;
    leave();
}

// One clock cycle whose rising edge is at `edge_ps`: drive, settle with the clock low,
// sample what the edge sees, rising edge.
uint32_t model_step(Model* model, const Inputs* in, Outputs* out, uint64_t edge_ps,
                    uint64_t low_ps) {
    enter(model);
    try {
        Vmodel* top = model->top;
        drive(top, in);
        set_clock(top, 0);
        model->context->time(low_ps);
        top->eval();
        dump(model, low_ps);
        sample(top, out);
        set_clock(top, 1);
        model->context->time(edge_ps);
        top->eval();
        dump(model, edge_ps);
    } catch (Stop&) {
    }
    return outcome(model);
}

// Drives and settles with the clock low, without an edge: outputs that follow inputs
// combinationally become visible before the cycle is taken.
uint32_t model_settle(Model* model, const Inputs* in, Outputs* out) {
    enter(model);
    try {
        drive(model->top, in);
        set_clock(model->top, 0);
        model->top->eval();
        sample(model->top, out);
    } catch (Stop&) {
    }
    return outcome(model);
}

// Starts a waveform file; an open one is closed first.
uint32_t trace_open(Model* model, const char* file, int32_t levels) {
#if HALLUX_TRACE
    enter(model);
    try {
        close_trace(model);
        model->dumped = 0;
        model->trace = new Trace;
        model->trace->set_time_unit("1ps");
        model->trace->set_time_resolution("1ps");
        model->top->trace(model->trace, levels);
        model->trace->open(file);
        if (!model->trace->isOpen()) {
            delete model->trace;
            model->trace = nullptr;
            return outcome(model) | FAILED;
        }
    } catch (Stop&) {
    }
    return outcome(model);
#else
    return FAILED;
#endif
}

uint32_t trace_close(Model* model) {
#if HALLUX_TRACE
    enter(model);
    try {
        close_trace(model);
    } catch (Stop&) {
    }
    return outcome(model);
#else
    return FAILED;
#endif
}

using Sink = void (*)(void*, const uint8_t*, size_t);

#if HALLUX_SAVABLE
// Verilator's saved state begins with settings of the context: simulated time, seed,
// limits. They belong to the run, not to the state: laid aside and blanked while the
// state is written or read, and put back afterwards.
struct ContextAside final {
    VerilatedContext* context;
    std::string settings;
    explicit ContextAside(VerilatedContext* context_) : context{context_} {
        settings.assign(static_cast<char*>(context->serialized1Ptr()), context->serialized1Size());
        memset(context->serialized1Ptr(), 0, settings.size());
    }
    ~ContextAside() { memcpy(context->serialized1Ptr(), settings.data(), settings.size()); }
};

// Verilator's serialisers, to and from memory instead of a file.
struct MemorySave final : VerilatedSerialize {
    Sink sink;
    void* receiver;
    MemorySave(Sink sink_, void* receiver_) : sink{sink_}, receiver{receiver_} { m_isOpen = true; }
    ~MemorySave() override { flush(); }
    void flush() override {
        if (m_cp != m_bufp) sink(receiver, m_bufp, m_cp - m_bufp);
        m_cp = m_bufp;
    }
};

struct MemoryRestore final : VerilatedDeserialize {
    const uint8_t* next;
    size_t left;
    bool short_of_data = false;
    MemoryRestore(const uint8_t* data, size_t size) : next{data}, left{size} {
        m_isOpen = true;
        m_endp = m_bufp;
    }
    void fill() override {
        // What was not yet read moves to the start, the rest of the buffer is refilled.
        size_t kept = m_endp - m_cp;
        memmove(m_bufp, m_cp, kept);
        size_t room = bufferSize() - kept;
        size_t taken = left < room ? left : room;
        memcpy(m_bufp + kept, next, taken);
        next += taken;
        left -= taken;
        m_cp = m_bufp;
        m_endp = m_bufp + kept + taken;
    }
    bool exhausted() const { return left == 0 && m_cp == m_endp; }
};
#endif

uint32_t save(Model* model, Sink sink, void* receiver) {
#if HALLUX_SAVABLE
    enter(model);
    try {
        ContextAside aside{model->context};
        MemorySave out{sink, receiver};
        out << *model->top;
        out.flush();
    } catch (Stop&) {
    }
    return outcome(model);
#else
    return FAILED;
#endif
}

uint32_t restore(Model* model, const uint8_t* data, size_t size) {
#if HALLUX_SAVABLE
    enter(model);
    try {
        ContextAside aside{model->context};
        MemoryRestore in{data, size};
        in >> *model->top;
        if (!in.exhausted()) return outcome(model) | FAILED;
    } catch (Stop&) {
    }
    return outcome(model);
#else
    return FAILED;
#endif
}

void where_stopped(Model* model, const char** file, int32_t* line, const char** text) {
    *file = model->file.c_str();
    *line = model->line;
    *text = model->text.c_str();
}

// The text printed since the last call; valid until the next call into the model.
const char* take_printed(Model* model) {
    static thread_local std::string taken;
    taken.swap(model->printed);
    model->printed.clear();
    return taken.c_str();
}

}  // namespace

// The run-time is compiled with VL_USER_STOP, VL_USER_FATAL and VL_USER_FINISH: $stop,
// $fatal, failed assertions and errors of the run-time end up here.
void vl_finish(const char* file, int line, const char*) VL_MT_UNSAFE {
    if (!current) return;
    if (!(current->status & FINISHED)) remember_place(file, line);
    current->status |= FINISHED;
    current->context->gotFinish(true);
}

void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    if (current) {
        remember_place(file, line);
        current->status |= STOPPED;
    }
    throw Stop{};
}

void vl_fatal(const char* file, int line, const char*, const char* text) VL_MT_UNSAFE {
    if (current) {
        remember_place(file, line);
        current->text = text ? text : "";
        current->status |= FATAL;
    }
    throw Stop{};
}

// VL_PRINTF: text of $display and of assertions, kept until Rust takes it.
int hallux_print(const char* format, ...) {
    char buffer[8192];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    if (current && length > 0) current->printed += buffer;
    return length;
}

// The table; the same fields in the same order as `Table` in library.rs.
struct Table {
    uint32_t shim_version, in_size, out_size, reserved;
    uint64_t layout_hash;
    Model* (*model_new)(uint64_t, int32_t);
    void (*model_free)(Model*);
    uint32_t (*step)(Model*, const Inputs*, Outputs*, uint64_t, uint64_t);
    uint32_t (*settle)(Model*, const Inputs*, Outputs*);
    uint32_t (*trace_open)(Model*, const char*, int32_t);
    uint32_t (*trace_close)(Model*);
    uint32_t (*save)(Model*, Sink, void*);
    uint32_t (*restore)(Model*, const uint8_t*, size_t);
    void (*where_stopped)(Model*, const char**, int32_t*, const char**);
    const char* (*take_printed)(Model*);
};

static const Table table = {
    HALLUX_SHIM_VERSION, HALLUX_IN_SIZE, HALLUX_OUT_SIZE, 0,           HALLUX_LAYOUT_HASH,
    model_new,           model_free,     model_step,      model_settle, trace_open,
    trace_close,         save,           restore,         where_stopped, take_printed,
};

extern "C" __attribute__((visibility("default"))) const Table* hallux_model_table() {
    return &table;
}
