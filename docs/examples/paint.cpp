// Paint a photo with an exported style. To build and run it, with the style in model.onnx:
//
//   pip install --no-deps --target runtime openvino
//   openvino=$PWD/runtime/openvino
//   g++ -std=c++17 -O2 paint.cpp -o paint -I $openvino/include $openvino/libs/libopenvino.so.* -Wl,-rpath,$openvino/libs
//   ./paint model.onnx photo.ppm painting.ppm

#include <cmath>
#include <fstream>
#include <iostream>
#include <openvino/openvino.hpp>

int main(int argc, char** argv) {
    std::ifstream photo(argc == 4 ? argv[2] : "", std::ios::binary);
    std::string format;
    size_t width, height, largest;
    if (!(photo >> format >> width >> height >> largest) || format != "P6" || largest != 255)
        return std::cerr << "usage: paint MODEL.onnx PHOTO.ppm PAINTING.ppm (binary, 8 bits)\n", 1;
    photo.get();  // the one blank before the pixels

    const size_t n = width * height;
    ov::Tensor image(ov::element::f32, {1, 3, height, width});  // RGB planes of 0..255
    float* planes = image.data<float>();
    for (size_t i = 0; i < 3 * n; i++) planes[i % 3 * n + i / 3] = photo.get();

    const auto exact = ov::hint::inference_precision(ov::element::f32);  // not 16 bits where those are fast
    auto request = ov::Core().compile_model(argv[1], "CPU", exact).create_infer_request();
    request.set_input_tensor(image);
    request.infer();

    const float* painting = request.get_output_tensor().data<float>();
    std::ofstream out(argv[3], std::ios::binary);
    out << "P6\n" << width << ' ' << height << "\n255\n";
    for (size_t i = 0; i < 3 * n; i++) out.put(std::lround(painting[i % 3 * n + i / 3]));
}
