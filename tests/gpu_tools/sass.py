"""What ptxas made of the kernel, read from its listing: how many instructions the loop over ticks has."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);")
LABEL = re.compile(r"^(\.L_x_\d+):")


def disassembler() -> str | None:
    """nvdisasm: `MCRISK_NVDISASM`, the wheel `nvidia-cuda-nvdisasm`, a CUDA toolkit; None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    places = [Path(place) for place in (spec.submodule_search_locations or () if spec else ())]
    wheels = [str(found) for place in places for found in sorted(place.glob("cu*/bin/nvdisasm"))]
    named = [os.environ.get("MCRISK_NVDISASM"), *wheels, "nvdisasm", "/usr/local/cuda/bin/nvdisasm"]
    return next((found for one in named if one and (found := shutil.which(one))), None)


def listing(cubin: Path) -> str:
    """The SASS of a CUBIN file. Raises `FileNotFoundError` without nvdisasm."""
    tool = disassembler()
    if tool is None:
        raise FileNotFoundError("nvdisasm not found: pip install nvidia-cuda-nvdisasm")
    return subprocess.run([tool, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout


def loop_of(sass: str, kernel: str = "descend") -> list[str]:
    """The opcodes of the longest loop of a kernel: from the first label that is jumped back to, to that jump.

    >>> loop_of('''.section .text.k,"ax"
    ... .text.k:
    ...         /*0000*/                   MOV R1, c[0x0][0x28] ;
    ... .L_x_0:
    ...         /*0010*/                   FADD R2, R2, R3 ;
    ...         /*0020*/              @P0  BRA `(.L_x_0) ;
    ...         /*0030*/                   EXIT ;
    ... ''', "k")
    ['FADD', 'BRA']
    """
    body = sass.partition(f"\n.text.{kernel}:")[2].partition("\n\t.section")[0].partition("\n.section")[0]
    opcodes: list[str] = []
    labels: dict[str, int] = {}
    loops = []
    for line in body.splitlines():
        if label := LABEL.match(line):
            labels[label[1]] = len(opcodes)
        elif found := INSTRUCTION.match(line):
            opcodes.append(found[1])
            target = re.search(r"`\((\.L_x_\d+)\)", found[2]) if found[1].startswith("BRA") else None
            if target and target[1] in labels:
                loops.append((labels[target[1]], len(opcodes)))
    start, stop = max(loops, key=lambda loop: loop[1] - loop[0], default=(0, 0))
    return opcodes[start:stop]
