# Writes mixed.safetensors beside itself with the reference writer (Python package safetensors 0.8.0).
import ctypes
import pathlib
import struct

from safetensors import TensorSpec, serialize_file

kept = []


def spec(dtype, shape, data):
    buffer = ctypes.create_string_buffer(data, len(data))
    kept.append(buffer)
    return TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))


def f32(*xs):
    return struct.pack("<%df" % len(xs), *xs)


def i32(*xs):
    return struct.pack("<%di" % len(xs), *xs)


tensors = {
    "layers.0.norm.gain": spec("float32", [3], f32(1, -0.5, 3.25)),
    "embedding.weight": spec("float32", [2, 2], f32(0.1, 1e-45, -3.4028234663852886e38, float("inf"))),
    'z/\U0001f600"\\\n': spec("int32", [2], i32(-1, 2147483647)),
    "z/\uffee": spec("int32", [1], i32(5)),
    "steps": spec("int32", [], i32(7)),
    "half": spec("float16", [4], bytes.fromhex("003c0100ff7b00fc")),
    "brain": spec("bfloat16", [2, 1], bytes.fromhex("803f0180")),
    "codes": spec("float8_e4m3fn", [1, 3], bytes([0x38, 0x7E, 0x01])),
    "nothing": spec("float32", [0, 5], b""),
}
out = pathlib.Path(__file__).parent / "mixed.safetensors"
serialize_file(tensors, str(out), {"format": "mspec"})
