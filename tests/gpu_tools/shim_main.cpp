/// `shim PARAMS SEED FIRST COUNT RECORDS`: kernels/descend.cu on the host. PARAMS holds the Params bytes, and the heights of
/// an elevation model if there is one; the records
/// are written to RECORDS as the GPU backend reads them. `shim PLAN RECORDS SUMS`: the sums of those records, the counts
/// of the occupied bins, the bins and the landing bits. Memory is allocated to the byte, for the address sanitizer.
#include "shim.h"

#include "descend.cu"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

/// A whole file.
static std::vector<char> read(char const* path) {
    std::vector<char> found;
    std::FILE* input = std::fopen(path, "rb");
    for (int byte; input && (byte = std::fgetc(input)) != EOF;) found.push_back(static_cast<char>(byte));
    if (input) std::fclose(input);
    return found;
}

template <class T>
static bool write(std::FILE* output, std::vector<T> const& data) {
    return std::fwrite(data.data(), sizeof(T), data.size(), output) == data.size();
}

static int sum(char const* of_plan, char const* of_records, char const* of_sums) {
    std::vector<char> const given = read(of_plan), records = read(of_records);
    mcr::TallyPlan plan;
    if (given.size() != sizeof plan || records.size() % sizeof(mcr::Record) != 0) return 3;
    std::memcpy(&plan, given.data(), sizeof plan);
    unsigned const words = sizeof(mcr::Record) / 4, count = static_cast<unsigned>(records.size() / sizeof(mcr::Record));
    std::vector<unsigned> rows(words * count), back(rows.size());
    std::memcpy(rows.data(), records.data(), records.size());
    // the last runs of a launch of three more
    unsigned const before = 3, stride = before + count;
    std::vector<unsigned> columns(std::size_t(words) * stride);
    for (unsigned w = 0; w < words; ++w)
        for (unsigned run = 0; run < count; ++run) columns[w * stride + before + run] = rows[run * words + w];
    unsigned const* const own = columns.data() + before;

    unsigned const bins = mcr::tally_bins, most = (count < bins ? count : bins) * plan.metrics;
    std::vector<mcr::TallySums> sums(1);
    std::vector<mcr::uint64> histogram(plan.metrics * bins), counts(most);
    std::vector<unsigned> occupied(most), landed((count + 31) / 32);
    mcr::TallySums const* const made = sums.data();
    launch(tally, (count + 127) / 128, 128, plan, own, stride, count, sums.data(), histogram.data(), occupied.data());
    launch(sift, (most + 127) / 128, 128, made, static_cast<mcr::uint64 const*>(histogram.data()),
           static_cast<unsigned const*>(occupied.data()), counts.data());
    launch(landings, (count + 127) / 128, 128, plan, own, stride, count, landed.data());
    launch(gather, (words * count + 127) / 128, 128, own, stride, count, back.data());
    if (back != rows) return 5;

    std::FILE* output = std::fopen(of_sums, "wb");
    bool const written = output && write(output, sums) && write(output, counts) && write(output, occupied) && write(output, landed);
    return output && std::fclose(output) == 0 && written ? 0 : 4;
}

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments == 4) return sum(arguments[1], arguments[2], arguments[3]);
    if (count_of_arguments != 6) return 2;
    mcr::Params params;
    std::vector<char> const given = read(arguments[1]);
    if (given.size() < sizeof params || (given.size() - sizeof params) % sizeof(float) != 0) return 3;
    std::memcpy(&params, given.data(), sizeof params);
    std::vector<float> heights((given.size() - sizeof params) / sizeof(float));
    if (!heights.empty()) std::memcpy(heights.data(), given.data() + sizeof params, heights.size() * sizeof(float));
    float const* const ground = heights.empty() ? nullptr : heights.data();
    unsigned long long const seed = std::strtoull(arguments[2], nullptr, 10);
    unsigned long long const first = std::strtoull(arguments[3], nullptr, 10);
    unsigned const count = static_cast<unsigned>(std::strtoul(arguments[4], nullptr, 10));
    unsigned const words = sizeof(mcr::Record) / 4;

    std::vector<unsigned> columns(std::size_t(words) * count), rows(columns.size());
    launch(descend, (count + 31) / 32, 32, params, ground, seed, first, count, columns.data());
    launch(gather, (count * words + 31) / 32, 32, static_cast<unsigned const*>(columns.data()), count, count, rows.data());

    std::FILE* output = std::fopen(arguments[5], "wb");
    bool const written = output && std::fwrite(rows.data(), 4, rows.size(), output) == rows.size();
    return output && std::fclose(output) == 0 && written ? 0 : 4;
}
