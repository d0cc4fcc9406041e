#include "common/rpc/certificates.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>

#include "common/base/files.h"

namespace attune::rpc {
namespace {

using grpc::experimental::FileWatcherCertificateProvider;

constexpr uint64_t kPemBytesMax = 1 << 20;

// gRPC itself only logs what it cannot read.
Status CheckReadable(const std::string& path, const char* what) {
  if (path.empty()) return Status();
  return ReadFile(path, kPemBytesMax).status().WithContext(what);
}

Result<std::shared_ptr<FileWatcherCertificateProvider>> Watch(const PemFiles& files,
                                                              std::chrono::seconds refresh) {
  ATTUNE_RETURN_IF_ERROR(CheckReadable(files.ca, "CA certificate"));
  ATTUNE_RETURN_IF_ERROR(CheckReadable(files.cert, "certificate"));
  ATTUNE_RETURN_IF_ERROR(CheckReadable(files.key, "private key"));
  return std::make_shared<FileWatcherCertificateProvider>(
      files.key, files.cert, files.ca, static_cast<unsigned int>(refresh.count()));
}

void Configure(const PemFiles& files, grpc::experimental::TlsCredentialsOptions* options) {
  if (!files.ca.empty()) options->watch_root_certs();
  if (!files.cert.empty()) options->watch_identity_key_cert_pairs();
}

}  // namespace

Result<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(const PemFiles& files,
                                                                    std::chrono::seconds refresh) {
  ATTUNE_ASSIGN_OR_RETURN(auto provider, Watch(files, refresh));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider);
  Configure(files, &options);
  return grpc::experimental::TlsCredentials(options);
}

Result<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(const PemFiles& files,
                                                                   std::chrono::seconds refresh) {
  ATTUNE_ASSIGN_OR_RETURN(auto provider, Watch(files, refresh));
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  Configure(files, &options);
  options.set_cert_request_type(files.ca.empty()
                                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

Result<TimePoint> CertificateExpiry(const std::string& path) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string pem, ReadFile(path, kPemBytesMax));
  std::unique_ptr<BIO, decltype(&BIO_free)> bytes(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(bytes.get(), nullptr, nullptr, nullptr), &X509_free);
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return InvalidArgument(path + " does not begin with a certificate in PEM form");
  }
  return TimePoint(std::chrono::seconds(timegm(&end)));
}

}  // namespace attune::rpc
