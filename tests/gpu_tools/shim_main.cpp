/// `shim PARAMS SEED FIRST COUNT RECORDS`: kernels/descend.cu on the host. PARAMS holds the Params bytes; the records
/// are written to RECORDS as the GPU backend reads them. Memory is allocated to the byte, for the address sanitizer.
#include "shim.h"

#include "descend.cu"

#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int count_of_arguments, char** arguments) {
    if (count_of_arguments != 6) return 2;
    mcr::Params params;
    std::FILE* input = std::fopen(arguments[1], "rb");
    if (!input || std::fread(&params, sizeof params, 1, input) != 1 || std::fgetc(input) != EOF) return 3;
    std::fclose(input);
    unsigned long long const seed = std::strtoull(arguments[2], nullptr, 10);
    unsigned long long const first = std::strtoull(arguments[3], nullptr, 10);
    unsigned const count = static_cast<unsigned>(std::strtoul(arguments[4], nullptr, 10));
    unsigned const words = sizeof(mcr::Record) / 4;

    std::vector<unsigned> columns(std::size_t(words) * count), rows(columns.size());
    launch(descend, (count + 31) / 32, 32, params, seed, first, count, columns.data());
    launch(gather, (count * words + 31) / 32, 32, static_cast<unsigned const*>(columns.data()), count, count, rows.data());

    std::FILE* output = std::fopen(arguments[5], "wb");
    bool const written = output && std::fwrite(rows.data(), 4, rows.size(), output) == rows.size();
    return output && std::fclose(output) == 0 && written ? 0 : 4;
}
