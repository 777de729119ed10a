// Whole-design simulation: the clock, an AXI4 memory, an AXI4-Lite master and a command loop.
//
// The process reads binary commands on stdin and answers on stdout (little endian, see `simulation.py`).
// One cycle: with clk low and all inputs settled the outputs are sampled; clk rises; the
// memory moves on and drives its next inputs; clk falls. A read burst's first beat comes `latency`
// cycles after its address at the earliest, then one beat a cycle; a write response `latency` cycles
// after the last data beat. Read and write channels are independent.
#include "Vtop.h"
#include "verilated.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr unsigned kBeatBytes = sizeof(Vtop::m_axi_rdata);
constexpr unsigned kOutstanding = 16;
constexpr unsigned kResetCycles = 4;
constexpr unsigned kLiteTimeout = 1000;
constexpr unsigned kCounters = 15;
constexpr uint8_t kOkay = 0, kSlverr = 2;

enum Register : uint32_t {
    kControl = 0x000, kStatus = 0x004, kProgramLow = 0x008, kProgramHigh = 0x00c, kPc = 0x010, kCounterBase = 0x100
};
constexpr uint32_t kStart = 1, kClear = 2, kIrqEnable = 0x100;

class Random {
public:
    void seed(uint64_t value) { state_ = value * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull; if (!state_) state_ = 1; }
    uint32_t next() {
        state_ ^= state_ << 13; state_ ^= state_ >> 7; state_ ^= state_ << 17;
        return static_cast<uint32_t>(state_ >> 32);
    }
    bool chance(uint64_t threshold) { return threshold && next() < threshold; }
private:
    uint64_t state_ = 1;
};

// Bytes by address, in pages made when first written.
class Bytes {
public:
    void write(uint64_t address, const uint8_t* data, uint64_t size) {
        while (size) {
            uint64_t part = std::min(size, kPage - address % kPage);
            memcpy(page(address, true) + address % kPage, data, part);
            address += part; data += part; size -= part;
        }
    }
    void write_masked(uint64_t address, const uint8_t* data, uint32_t strobes) {
        for (unsigned i = 0; i < kBeatBytes; ++i)
            if (strobes >> i & 1) write(address + i, data + i, 1);
    }
    void read(uint64_t address, uint8_t* data, uint64_t size) {
        while (size) {
            uint64_t part = std::min(size, kPage - address % kPage);
            const uint8_t* from = page(address, false);
            if (from) memcpy(data, from + address % kPage, part); else memset(data, 0, part);
            address += part; data += part; size -= part;
        }
    }
private:
    static constexpr uint64_t kPage = 1 << 16;
    uint8_t* page(uint64_t address, bool make) {
        uint64_t index = address / kPage;
        if (index == last_index_ && last_) return last_;
        auto found = pages_.find(index);
        if (found == pages_.end()) {
            if (!make) return nullptr;
            found = pages_.emplace(index, std::make_unique<uint8_t[]>(kPage)).first;
        }
        last_index_ = index;
        return last_ = found->second.get();
    }
    std::unordered_map<uint64_t, std::unique_ptr<uint8_t[]>> pages_;
    uint64_t last_index_ = 0;
    uint8_t* last_ = nullptr;
};

struct Timing {
    uint32_t latency = 20;
    uint64_t stall = 0;  // probability times 2**32
    uint64_t seed = 0, error_low = 0, error_high = 0;
};

// What was driven on a stalled channel, to see that it stays.
struct Held {
    bool waiting = false;
    std::array<uint64_t, 2 + kBeatBytes / 8> payload{};
};

struct Burst { uint8_t id; uint64_t address; unsigned beats; uint64_t due; };
struct Response { uint8_t resp; uint64_t due; };
struct WriteBeat { std::array<uint8_t, kBeatBytes> data; uint32_t strobes; bool last; };

class System {
public:
    System() : context_(std::make_unique<VerilatedContext>()) {}

    void build(int argc, char** argv, uint64_t seed) {
        context_->commandArgs(argc, argv);
        context_->randReset(2);
        context_->randSeed(static_cast<int>(seed & 0x3fffffff) + 1);
        top_ = std::make_unique<Vtop>(context_.get());
        reset();
    }
    ~System() { if (top_) top_->final(); }

    void configure(const Timing& timing) { timing_ = timing; random_.seed(timing.seed); }

    void reset() {
        reads_.clear(); writes_.clear(); data_.clear(); responses_.clear();
        for (Held* held : {&held_ar_, &held_aw_, &held_w_}) held->waiting = false;
        lite_aw_ = lite_w_ = lite_ar_ = reading_ = false;
        beat_ = 0;
        top_->m_axi_rvalid = top_->m_axi_bvalid = 0;
        top_->rst_n = 0;
        drive();
        for (unsigned i = 0; i < kResetCycles; ++i) edge();
        top_->rst_n = 1;
        drive();
    }

    void tick() {
        bool ar = top_->m_axi_arvalid && top_->m_axi_arready;
        bool r = top_->m_axi_rvalid && top_->m_axi_rready;
        bool aw = top_->m_axi_awvalid && top_->m_axi_awready;
        bool w = top_->m_axi_wvalid && top_->m_axi_wready;
        bool b = top_->m_axi_bvalid && top_->m_axi_bready;
        check_stable();
        if (ar) accept_ar();
        if (aw) accept_aw();
        if (w) accept_w();
        sample_lite();
        edge_high();
        if (r) retire_read_beat();
        if (b) { responses_.pop_front(); top_->m_axi_bvalid = 0; }
        ++cycle_;
        match_writes();
        drive();
    }

    bool lite_write(uint32_t address, uint32_t data, uint8_t& resp) {
        top_->s_axil_awaddr = address; top_->s_axil_wdata = data; top_->s_axil_wstrb = 0xf;
        lite_aw_ = lite_w_ = true;
        return transact(resp);
    }

    bool lite_read(uint32_t address, uint32_t& data, uint8_t& resp) {
        top_->s_axil_araddr = address;
        lite_ar_ = true;
        bool answered = transact(resp);
        data = lite_data_;
        return answered;
    }

    bool irq() const { return top_->irq_line; }
    uint64_t cycle() const { return cycle_; }
    Bytes& bytes() { return bytes_; }
    std::string take_violation() { std::string text; text.swap(violation_); return text; }

private:
    void edge_high() { top_->clk = 1; top_->eval(); }
    void edge() { top_->clk = 1; top_->eval(); top_->clk = 0; top_->eval(); }
    bool stalled() { return random_.chance(timing_.stall); }

    void violate(const std::string& what) {
        if (violation_.empty()) violation_ = "cycle " + std::to_string(cycle_) + ": " + what;
    }

    void check_burst(const char* channel, uint64_t address, unsigned beats, unsigned size, unsigned burst) {
        std::string name(channel);
        if (burst != 1) violate(name + " burst is not INCR");
        if (1u << size != kBeatBytes) violate(name + " size is not the data width");
        if (address % kBeatBytes) violate(name + " address is not aligned");
        if (address % 4096 + beats * kBeatBytes > 4096) violate(name + " crosses a 4 KiB boundary");
    }

    void check_held(Held& held, const char* channel, bool valid, bool ready, const Held& now) {
        if (held.waiting && !valid) violate(std::string(channel) + " valid fell before ready");
        else if (held.waiting && held.payload != now.payload) violate(std::string(channel) + " payload changed while stalled");
        held.waiting = valid && !ready;
        if (held.waiting) held.payload = now.payload;
    }

    void check_stable() {
        if (held_ar_.waiting || (top_->m_axi_arvalid && !top_->m_axi_arready)) {
            Held now; now.payload[0] = top_->m_axi_araddr; now.payload[1] = top_->m_axi_arlen | top_->m_axi_arid << 8;
            check_held(held_ar_, "AR", top_->m_axi_arvalid, top_->m_axi_arready, now);
        }
        if (held_aw_.waiting || (top_->m_axi_awvalid && !top_->m_axi_awready)) {
            Held now; now.payload[0] = top_->m_axi_awaddr; now.payload[1] = top_->m_axi_awlen;
            check_held(held_aw_, "AW", top_->m_axi_awvalid, top_->m_axi_awready, now);
        }
        if (held_w_.waiting || (top_->m_axi_wvalid && !top_->m_axi_wready)) {
            Held now; now.payload[0] = top_->m_axi_wlast;
            memcpy(&now.payload[1], &top_->m_axi_wdata, kBeatBytes);
            check_held(held_w_, "W", top_->m_axi_wvalid, top_->m_axi_wready, now);
        }
    }

    void accept_ar() {
        unsigned beats = top_->m_axi_arlen + 1;
        check_burst("AR", top_->m_axi_araddr, beats, top_->m_axi_arsize, top_->m_axi_arburst);
        reads_.push_back({top_->m_axi_arid, top_->m_axi_araddr, beats, cycle_ + timing_.latency});
    }

    void accept_aw() {
        unsigned beats = top_->m_axi_awlen + 1;
        check_burst("AW", top_->m_axi_awaddr, beats, top_->m_axi_awsize, top_->m_axi_awburst);
        writes_.push_back({0, top_->m_axi_awaddr, beats, 0});
    }

    void accept_w() {
        WriteBeat beat;
        memcpy(beat.data.data(), &top_->m_axi_wdata, kBeatBytes);
        beat.strobes = top_->m_axi_wstrb;
        beat.last = top_->m_axi_wlast;
        data_.push_back(beat);
    }

    bool is_error(uint64_t address) const { return address >= timing_.error_low && address < timing_.error_high; }

    // Data may come before its address: it waits until the burst it belongs to is known.
    void match_writes() {
        while (!writes_.empty() && !data_.empty()) {
            Burst& burst = writes_.front();
            const WriteBeat& beat = data_.front();
            if (is_error(burst.address)) burst.id = 1;
            else bytes_.write_masked(burst.address, beat.data.data(), beat.strobes);
            burst.address += kBeatBytes;
            --burst.beats;
            if (beat.last != (burst.beats == 0)) violate("W last does not match the burst length");
            data_.pop_front();
            if (burst.beats) continue;
            responses_.push_back({burst.id ? kSlverr : kOkay, cycle_ + timing_.latency - 1});
            writes_.pop_front();
        }
    }

    // Bursts of one id stay in order; under random stalls a burst of another id may overtake.
    size_t choose_burst() {
        if (timing_.stall && reads_.size() > 1 && random_.next() & 1)
            for (size_t i = 1; i < reads_.size(); ++i)
                if (reads_[i].id != reads_[0].id && cycle_ >= reads_[i].due) return i;
        return 0;
    }

    void offer_read_beat() {
        if (!beat_) {
            if (reads_.empty() || cycle_ < reads_.front().due) return;
            size_t chosen = choose_burst();
            current_ = reads_[chosen];
            reads_.erase(reads_.begin() + chosen);
            beat_ = current_.beats;
        }
        if (stalled()) return;
        bytes_.read(current_.address, reinterpret_cast<uint8_t*>(&top_->m_axi_rdata), kBeatBytes);
        top_->m_axi_rid = current_.id;
        top_->m_axi_rresp = is_error(current_.address) ? kSlverr : kOkay;
        top_->m_axi_rlast = beat_ == 1;
        top_->m_axi_rvalid = 1;
    }

    void retire_read_beat() { top_->m_axi_rvalid = 0; --beat_; current_.address += kBeatBytes; }

    void drive() {
        if (!top_->m_axi_rvalid) offer_read_beat();
        if (!top_->m_axi_bvalid && !responses_.empty() && cycle_ >= responses_.front().due && !stalled()) {
            top_->m_axi_bvalid = 1;
            top_->m_axi_bresp = responses_.front().resp;
        }
        top_->m_axi_arready = reads_.size() < kOutstanding && !stalled();
        top_->m_axi_awready = writes_.size() + responses_.size() < kOutstanding && !stalled();
        top_->m_axi_wready = data_.size() < kOutstanding && !stalled();
        top_->s_axil_awvalid = lite_aw_; top_->s_axil_wvalid = lite_w_; top_->s_axil_arvalid = lite_ar_;
        top_->s_axil_bready = top_->s_axil_rready = reading_;
        top_->clk = 0;
        top_->eval();
    }

    void sample_lite() {
        if (top_->s_axil_awvalid && top_->s_axil_awready) lite_aw_ = false;
        if (top_->s_axil_wvalid && top_->s_axil_wready) lite_w_ = false;
        if (top_->s_axil_arvalid && top_->s_axil_arready) lite_ar_ = false;
        if (!reading_) return;
        if (top_->s_axil_bvalid) { lite_resp_ = top_->s_axil_bresp; reading_ = false; }
        if (top_->s_axil_rvalid) { lite_resp_ = top_->s_axil_rresp; lite_data_ = top_->s_axil_rdata; reading_ = false; }
    }

    bool transact(uint8_t& resp) {
        reading_ = true;
        drive();
        for (unsigned i = 0; i < kLiteTimeout; ++i) {
            tick();
            if (!reading_) { resp = lite_resp_; return true; }
        }
        violate("AXI-Lite access was not answered");
        return false;
    }

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vtop> top_;
    Bytes bytes_;
    Timing timing_;
    Random random_;
    std::deque<Burst> reads_, writes_;
    std::deque<WriteBeat> data_;
    std::deque<Response> responses_;
    Burst current_{};
    unsigned beat_ = 0;
    Held held_ar_, held_aw_, held_w_;
    bool lite_aw_ = false, lite_w_ = false, lite_ar_ = false, reading_ = false;
    uint8_t lite_resp_ = 0;
    uint32_t lite_data_ = 0;
    uint64_t cycle_ = 0;
    std::string violation_;
};

void read_exactly(void* data, size_t size) {
    if (size && fread(data, 1, size, stdin) != size) exit(0);
}

template <class T> T take() { T value; read_exactly(&value, sizeof value); return value; }
template <class T> void give(T value) { fwrite(&value, sizeof value, 1, stdout); }

void command_write(System& system) {
    auto address = take<uint64_t>();
    std::vector<uint8_t> data(take<uint64_t>());
    read_exactly(data.data(), data.size());
    system.bytes().write(address, data.data(), data.size());
    give<uint8_t>(1);
}

void command_read(System& system) {
    auto address = take<uint64_t>();
    std::vector<uint8_t> data(take<uint64_t>());
    system.bytes().read(address, data.data(), data.size());
    fwrite(data.data(), 1, data.size(), stdout);
}

Timing take_timing() {
    Timing timing;
    timing.latency = take<uint32_t>();
    timing.stall = take<uint64_t>();
    timing.seed = take<uint64_t>();
    timing.error_low = take<uint64_t>();
    timing.error_high = take<uint64_t>();
    return timing;
}

uint32_t lite_value(System& system, uint32_t address) {
    uint32_t data = 0;
    uint8_t resp = 0;
    system.lite_read(address, data, resp);
    return data;
}

void give_violation(System& system) {
    std::string text = system.take_violation();
    give<uint32_t>(text.size());
    fwrite(text.data(), 1, text.size(), stdout);
}

// Starts the program, waits for the interrupt, and gives status, pc, cycles and counters.
void command_run(System& system) {
    auto address = take<uint64_t>();
    auto limit = take<uint64_t>();
    uint8_t resp = 0;
    system.lite_write(kControl, kClear | kIrqEnable, resp);
    system.lite_write(kProgramLow, static_cast<uint32_t>(address), resp);
    system.lite_write(kProgramHigh, static_cast<uint32_t>(address >> 32), resp);
    system.lite_write(kControl, kStart | kIrqEnable, resp);
    uint64_t start = system.cycle();
    while (!system.irq() && system.cycle() - start < limit) system.tick();
    uint64_t cycles = system.cycle() - start;
    give<uint32_t>(lite_value(system, kStatus));
    give<uint32_t>(lite_value(system, kPc));
    give<uint64_t>(cycles);
    for (unsigned n = 0; n < kCounters; ++n) {
        uint64_t low = lite_value(system, kCounterBase + 8 * n);
        give<uint64_t>(low | static_cast<uint64_t>(lite_value(system, kCounterBase + 8 * n + 4)) << 32);
    }
    give_violation(system);
}

void command_step(System& system) {
    for (auto count = take<uint64_t>(); count; --count) system.tick();
    give<uint8_t>(system.irq());
}

void command_register_write(System& system) {
    auto address = take<uint32_t>();
    auto data = take<uint32_t>();
    uint8_t resp = 0xff;
    system.lite_write(address, data, resp);
    give<uint8_t>(resp);
}

void command_register_read(System& system) {
    uint32_t data = 0;
    uint8_t resp = 0xff;
    system.lite_read(take<uint32_t>(), data, resp);
    give<uint32_t>(data);
    give<uint8_t>(resp);
}

bool serve(System& system) {
    int command = getchar();
    switch (command) {
        case 'W': command_write(system); break;
        case 'R': command_read(system); break;
        case 'M': system.configure(take_timing()); give<uint8_t>(1); break;
        case 'G': command_run(system); break;
        case 'S': command_step(system); break;
        case 'X': system.reset(); give<uint8_t>(1); break;
        case 'P': command_register_write(system); break;
        case 'Q': command_register_read(system); break;
        default: return false;
    }
    fflush(stdout);
    return true;
}

}  // namespace

// The number of bytes a beat, for Python to check; then commands until end of input.
int main(int argc, char** argv) {
    System system;
    system.build(argc, argv, argc > 1 ? strtoull(argv[1], nullptr, 10) : 0);
    give<uint32_t>(kBeatBytes);
    fflush(stdout);
    while (serve(system)) {}
    return 0;
}
